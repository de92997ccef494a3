from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from flip.crops import crops

SENTENCES = ["The night train from Boston was late.", "“Don't,” she said — twice.", "Yes"]


def test_a_crop_is_a_run_of_words_of_its_sentence() -> None:
    found = crops(SENTENCES, 5, seed=1)
    cut = found[:10]
    for sentence, own in ((SENTENCES[0], cut[:5]), (SENTENCES[1], cut[5:])):
        for text in own:
            assert text in sentence
            assert text != sentence.rstrip(".")
    assert len({len(text.split()) for text in cut[:5]}) > 1


def test_the_distinct_words_follow_in_lower_case_as_often_as_a_sentence_is_cropped() -> None:
    found = crops([*SENTENCES, "the Train"], 3, seed=1)[9:]
    assert found == 3 * sorted({
        "the", "night", "train", "from", "boston", "was", "late", "don't", "she", "said", "twice", "yes",
    })  # fmt: skip


def test_scripts_without_spaces_are_cut_between_words() -> None:
    found = crops(["我喜欢火车"], 20, seed=0)
    assert {len(text) for text in found} >= {1, 2, 3}


@settings(deadline=None)
@given(st.lists(st.text(max_size=20), max_size=5), st.integers(0, 3), st.integers(0, 2**31))
def test_crops_are_never_blank_and_the_seed_decides(sentences: list[str], n: int, seed: int) -> None:
    found = crops(sentences, n, seed)
    assert all(text.strip() for text in found)
    assert found == crops(sentences, n, seed)
