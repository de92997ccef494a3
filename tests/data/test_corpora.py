"""From published corpora to a datasets.yaml with embeddings, in one command each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from flip.data.corpora import augment, read_aligned, read_plain, read_release, split_rows, split_sizes
from flip.data.manifest import load_manifest
from flip.errors import InputError, UsageError
from flip.model.checkpoint import load_checkpoint
from flip.text.tokenize import normalize

Flip = Callable[..., Any]
HEADER = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccents\tlocale\tsegment"


@pytest.fixture
def release(here: Path, sentences: list[str]) -> Path:
    """A Common Voice release folder: quotes in the text are not quoting, and one sentence is blank."""
    folder = here / "cv-corpus" / "en"
    (folder / "clips").mkdir(parents=True)
    for part, start, count in (("train", 0, 300), ("dev", 300, 40), ("test", 340, 50)):
        lines = [*sentences[start : start + count - 2], '"Quoted" start, he said', ""]
        rows = [f"c{i}\tclip_{i}.mp3\t{line}\t2\t0\t\t\t\ten\t" for i, line in enumerate(lines)]
        (folder / f"{part}.tsv").write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def bitext(here: Path, sentences: list[str]) -> tuple[str, str]:
    """Two aligned files; the other language is the words backwards. Blank lines on either side, and repetitions."""
    english = [*sentences[:400], *sentences[:20], "only here", ""]
    other = [" ".join(reversed(line.split())) for line in english[:-2]] + ["", "nur hier"]
    other[3] = other[5]  # two English sentences with one translation
    for language, lines in (("en", english), ("xx", other)):
        (here / f"europarl.{language}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return "europarl.en", "europarl.xx"


@pytest.mark.slow
def test_a_common_voice_release_folder(release: Path, flip: Flip) -> None:
    done = flip("embed", release, "--dataset", "data")
    assert done.code == 0, done.err
    assert done.records[0]["rows"] == {"train": 299, "dev": 39, "test": 49}
    assert "3 rows with a blank line dropped" in done.err
    datasets = load_manifest(Path("data/datasets.yaml"))
    assert datasets["test"].sentences()[-1] == '"Quoted" start, he said'
    assert datasets["train"].embeddings[0].source.encoder.name == "minilm"
    assert flip("vocab", "--data", "data/datasets.yaml", "-o", "v.json").code == 0
    assert flip("train", "--data", "data/datasets.yaml", "--vocab", "v.json", "-o", "run", "--epochs", 1).code == 0


@pytest.mark.slow
def test_two_aligned_files(bitext: tuple[str, str], flip: Flip, minilm: Any) -> None:
    done = flip("embed", *bitext, "--pair", "--dataset", "data", "--split", "rest,30,40", "--dtype", "float16")
    assert done.code == 0, done.err
    assert "2 rows with a blank line dropped" in done.err
    assert done.records[0]["rows"] == {"train": 350, "dev": 30, "test": 40}
    assert done.records[0]["texts"] == ["en", "xx"]
    test = load_manifest(Path("data/datasets.yaml"))["test"]
    assert [e.id for e in test.embeddings] == ["en", "xx"] and test.embeddings[1].language == "xx"
    english, other = test.sentences("en"), test.sentences("xx")
    assert other[0] == " ".join(reversed(english[0].split()))
    u = test.embeddings[1].open()
    assert u.dtype == np.float16
    assert np.allclose(u[7], minilm.encode([other[7]])[0], atol=2e-3)
    assert flip("vocab", "--data", "data/datasets.yaml", "--text-id", "en", "-o", "v.json").code == 0
    trained = flip(
        "train", "--data", "data/datasets.yaml", "--text", "en", "--vocab", "v.json", "-o", "run", "--epochs", 1
    )
    assert trained.code == 0, trained.err


@pytest.mark.slow
def test_a_pair_has_its_similarities_in_the_manifest(bitext: tuple[str, str], flip: Flip) -> None:
    command = ("embed", *bitext, "--pair", "--dataset", "data", "--split", "rest,30,40", "--language", "eng,deu_Latn")
    assert flip(*command).code == 0
    datasets = load_manifest(Path("data/datasets.yaml"))
    assert [e.language for e in datasets["dev"].embeddings] == ["eng", "deu_Latn"]
    assert [e.source.language for e in datasets["dev"].embeddings] == ["eng", "deu_Latn"]
    for part, rows in (("train", 350), ("dev", 30), ("test", 40)):
        a, b = (np.asarray(e.open()) for e in datasets[part].embeddings)
        [scores] = datasets[part].similarities
        assert scores.pair == ("en", "xx")
        assert np.load(scores.file).shape == (rows,)
        np.testing.assert_allclose(np.load(scores.file), (a * b).sum(1), atol=1e-5)
    assert flip(*command[:-1], "a,b,c", "--force").code == 2


def test_equal_sentences_on_either_side_stay_together(bitext: tuple[str, str]) -> None:
    for seed in range(5):
        parts = read_aligned(bitext, "0.8,0.1,0.1", seed)
        for side in ("en", "xx"):
            seen = {part: {normalize(text) for text in parts[part].texts[side]} for part in parts}
            assert sum(map(len, seen.values())) == len(set.union(*seen.values()))
    assert read_aligned(bitext, "0.8,0.1,0.1", 3) == read_aligned(bitext, "0.8,0.1,0.1", 3)


@pytest.mark.parametrize(
    ("name", "header", "ids"),
    [
        ("europarl-v10.de-en.tsv", "", ["de", "en"]),
        ("en-hi.tsv", "idx\tsrc\ttgt\n", ["en", "hi"]),
        ("samanantar.tsv", "idx\tsrc\ttgt\n", ["src", "tgt"]),
    ],
)
def test_one_tsv_with_both_sides(here: Path, name: str, header: str, ids: list[str]) -> None:
    lines = [f"{i}\t" * bool(header) + f"left {i} word\tright {i}" for i in range(50)]
    (here / name).write_text(header + "\n".join(lines) + "\n")
    parts = read_aligned([name], "0.8,0.1,0.1", 0)
    assert list(parts["train"].texts) == ids
    pairs = [pair for part in parts.values() for pair in zip(*part.texts.values(), strict=True)]
    assert sorted(pairs) == sorted((f"left {i} word", f"right {i}") for i in range(50))


@pytest.mark.slow
def test_plain_text(here: Path, sentences: list[str], flip: Flip) -> None:
    (here / "a.txt").write_text("\n".join(sentences[:200]))
    done = flip("embed", "a.txt", "--dataset", "data", "--split", "0.8,0.1,0.1", "--seed", 7)
    assert done.records[0]["rows"] == {"train": 160, "dev": 20, "test": 20}
    assert (
        load_manifest(Path("data/datasets.yaml"))["dev"].sentences()
        == read_plain(["a.txt"], "0.8,0.1,0.1", 7)["dev"].texts["text"]
    )
    before = Path("data/train.npy").stat().st_mtime_ns
    again = ("embed", "a.txt", "--dataset", "data", "--split", "0.8,0.1,0.1", "--seed", 7)
    assert flip(*again).code == 3
    assert flip(*again, "--force").code == 0
    assert Path("data/train.npy").stat().st_mtime_ns == before


def test_a_dataset_writes_over_nothing_that_is_not_its_own(
    here: Path, sentences: list[str], fails: Callable[..., str]
) -> None:
    (here / "train.sentences.txt").write_text("\n".join(sentences[:200]))
    before = (here / "train.sentences.txt").read_bytes()
    command = ("embed", "train.sentences.txt", "--split", "0.8,0.1,0.1", "--dataset")
    assert "train.sentences.txt is an input" in fails(2, *command, ".", "--force")
    assert (here / "train.sentences.txt").read_bytes() == before
    np.save(here / "train.npy", np.ones((1, 384), np.float32))
    (here / "a.txt").write_bytes(before)
    assert "train.npy exists and was made from other input" in fails(3, "embed", "a.txt", "--dataset", ".")
    assert np.load(here / "train.npy").shape == (1, 384)


@pytest.mark.slow
def test_augmented_sentences_become_a_dataset_to_train_on(here: Path, sentences: list[str], flip: Flip) -> None:
    (here / "a.txt").write_text("\n".join(sentences[:200]))
    done = flip("embed", "a.txt", "--dataset", "data", "--split", "0.8,0.1,0.1", "--augment", 2)
    assert done.code == 0, done.err
    rows = done.records[0]["rows"]
    assert (rows["train"], rows["augmented"] > 300) == (160, True)
    assert flip("vocab", "data/train.sentences.txt", "-o", "v.json").code == 0
    trained = ("train", "--data", "data/datasets.yaml", "--vocab", "v.json", "-o", "run", "--epochs", 1)
    assert flip(*trained, "--extra", "augmented").code == 0
    assert load_checkpoint("run").config.data["train"] == "train,augmented"


def test_files_that_do_not_fit_are_reported(release: Path, bitext: tuple[str, str], fails: Callable[..., str]) -> None:
    Path("short.xx").write_text("one\n")
    with pytest.raises(InputError, match=r"short\.xx has fewer lines"):
        read_aligned([bitext[0], "short.xx"], "0.8,0.1,0.1", 0)
    with pytest.raises(UsageError, match="3 inputs are not a pair"):
        read_aligned(["a", "b", "c"], "0.8,0.1,0.1", 0)
    Path("bad.tsv").write_text("a\tb\nc\n")
    with pytest.raises(InputError, match=r"bad\.tsv, line 2: 1 columns, expected 2"):
        read_aligned(["bad.tsv"], "0.8,0.1,0.1", 0)
    (release / "dev.tsv").write_text("path\twords\n")
    with pytest.raises(InputError, match=r"dev\.tsv, line 1: no column 'sentence'"):
        read_release(release)
    (release / "dev.tsv").write_text(HEADER + "\nc\tp\n")
    with pytest.raises(InputError, match=r"dev\.tsv, line 2: 2 columns, the header has 10"):
        read_release(release)
    (release / "dev.tsv").unlink()
    assert "dev.tsv: no such file" in fails(3, "embed", release, "--dataset", "d")
    assert "is a folder" in fails(2, "embed", release, "a.txt", "--dataset", "d")
    assert "exclude each other" in fails(2, "embed", "a.txt", "--dataset", "d", "-o", "x.npy")
    assert "3 inputs are not a pair" in fails(2, "embed", "a", "b", "c", "--pair", "--dataset", "d")
    augmenting = fails(2, "embed", *bitext, "--pair", "--dataset", "d", "--augment", 1)
    assert "--augment needs a corpus of one text" in augmenting


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["a b", "A b!", "c", "d", "e", "f f", "g", "h", "i", "j", "k"]), min_size=25, max_size=60)
)
def test_equal_sentences_stay_on_one_side_and_none_is_lost(texts: list[str]) -> None:
    if len({normalize(text) for text in texts}) < 3:
        return
    try:
        parts = split_rows([(text,) for text in texts], "0.6,0.2,0.2", seed=1)
    except InputError:  # too much of the same, see below
        reject()
    assert parts["dev"] and parts["test"]
    assert sorted(row for part in parts.values() for row in part) == list(range(len(texts)))
    sides = [{normalize(texts[row]) for row in part} for part in parts.values()]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])


def test_counts_are_met_exactly_and_order_is_kept(sentences: list[str]) -> None:
    parts = split_rows([(text,) for text in sentences], "rest,200,300", seed=0)
    assert (len(parts["dev"]), len(parts["test"])) == (200, 300)
    assert all(part == sorted(part) for part in parts.values())


def test_the_seed_decides(sentences: list[str]) -> None:
    first, again, other = (split_rows([(text,) for text in sentences], "0.8,0.1,0.1", seed) for seed in (3, 3, 4))
    assert first == again != other


@pytest.mark.parametrize(
    "spec", ["0.9,0.1", "a,b,c", "0.5,0.2,0.2", "1.2,-0.1,-0.1", "rest,10,90", "rest,0,5", "1,0,0"]
)
def test_specs_that_make_no_sense(spec: str) -> None:
    with pytest.raises(UsageError, match="--split"):
        split_sizes(spec, 100)


def test_too_few_sentences() -> None:
    with pytest.raises(InputError, match="2 different sentences"):
        split_rows([("a",), ("A!",), ("b",)], "0.6,0.2,0.2", seed=0)


def test_too_many_equal_sentences_are_reported() -> None:
    with pytest.raises(InputError, match="3 different sentences in 300 lines"):
        split_rows([(text,) for text in "abc" * 100], "0.9,0.05,0.05", seed=0)


def test_a_split_of_few_sentences_has_a_hint() -> None:
    with pytest.raises(UsageError, match="of 5 sentences gives 5, 0, 0") as raised:
        split_sizes("0.9,0.05,0.05", 5)
    assert "more sentences" in str(raised.value.hint)


SENTENCES = ["The night train from Boston was late.", "“Don't,” she said — twice.", "Yes"]
WORDS = ["boston", "don't", "from", "late", "night", "said", "she", "the", "train", "twice", "was", "yes"]


def test_first_come_runs_of_the_words_of_each_sentence() -> None:
    found = augment(SENTENCES, 5, seed=1)
    for sentence, own in ((SENTENCES[0], found[:5]), (SENTENCES[1], found[5:10])):
        for text in own:
            assert text in sentence
            assert text != sentence.rstrip(".")
    assert len({len(text.split()) for text in found[:5]}) > 1


def test_then_each_word_alone_once_in_lower_case() -> None:
    assert augment([*SENTENCES, "the Train"], 3, seed=1)[9:21] == WORDS


def test_then_each_word_in_place_of_one_of_a_sentence_and_of_a_crop() -> None:
    found = augment(SENTENCES[:1], 2, seed=3)
    crops, words, among = found[:2], found[2:9], found[9:]
    assert len(among) == 2 * 2 * len(words)
    for i, text in enumerate(among):
        assert words[i % 7] in text.split() or text.startswith(words[i % 7]) or text.endswith(words[i % 7] + ".")
        of_a_sentence = i % 28 < 7 or 14 <= i % 28 < 21
        sources = SENTENCES[:1] if of_a_sentence else crops
        parted = [zip(text.rstrip(".").split(), s.rstrip(".").split(), strict=False) for s in sources]
        assert min(sum(a != b for a, b in pairs) for pairs in parted) <= 1


def test_scripts_without_spaces_are_cut_between_words() -> None:
    found = augment(["我喜欢火车"], 20, seed=0)[:20]
    assert {len(text) for text in found} >= {1, 2, 3}


@settings(deadline=None)
@given(st.lists(st.text(max_size=20), max_size=5), st.integers(0, 3), st.integers(0, 2**31))
def test_no_text_is_blank_and_the_seed_decides(sentences: list[str], n: int, seed: int) -> None:
    found = augment(sentences, n, seed)
    assert all(text.strip() for text in found)
    assert found == augment(sentences, n, seed)
    assert n or not found


def test_taught_words_come_alone_and_four_times_as_often_among_others() -> None:
    made = augment(["The train to Boston was late today.", "A cat sat on the mat."], 2, seed=0, teach=["Kubernetes"])
    assert made.count("kubernetes") == 1
    assert sum("Kubernetes" in text for text in made) == 2 * 2 * 3
    assert sum("kubernetes" in text for text in made) == 1 + 2 * 2
    assert augment(["One two three."], 2, seed=0) == augment(["One two three."], 2, seed=0, teach=[])


@pytest.mark.parametrize(
    ("teach", "message"),
    [(["word " * 2001], "has 10,005 characters"), ([f"w{i}" for i in range(100_001)], "more than 100,000 words")],
)
def test_teaching_has_a_limit(teach: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        augment(["One two three."], 2, seed=0, teach=teach)


def book(path: Path, lines: int = 600) -> list[str]:
    """Write lines whose words tell their place."""
    text = [f"Line number w{i} of the book." for i in range(lines)]
    path.write_text("\n".join(text), encoding="utf-8")
    return text


def test_passages_are_lines_that_follow_each_other(tmp_path: Path) -> None:
    lines = book(tmp_path / "book.txt")
    parts = read_plain([str(tmp_path / "book.txt")], "0.8,0.1,0.1", 3, passages=50)
    train, dev, test = (parts[part].texts["text"] for part in ("train", "dev", "test"))
    made = train[-50:]
    counts = [passage.count("Line") for passage in made]
    assert (min(counts), max(counts)) == (2, 12)
    assert all(passage in " ".join(train[:-50]) for passage in made)
    held_out = {*test, *dev}
    assert not any(line in passage for line in held_out for passage in made)
    # dev has a passage of each of its runs, which is in the book as it stands
    joined = [text for text in dev if text.count("Line") > 1]
    assert len(joined) == 60 // 12
    assert all(passage in " ".join(lines) for passage in joined)
    assert all(text.count("Line") == 1 for text in test)


def test_runs_of_lines_stay_on_one_side(tmp_path: Path) -> None:
    rows = [(line,) for line in book(tmp_path / "book.txt")]
    parts = split_rows(rows, "0.8,0.1,0.1", 0, run=12)
    assert sorted(i for part in parts.values() for i in part) == list(range(600))
    assert len({(i // 12, part) for part, found in parts.items() for i in found}) == 50


def test_passages_need_a_corpus_in_its_order(here: Path, fails: Callable[..., str]) -> None:
    book(here / "book.txt", 60)
    np.save(here / "x.npy", np.zeros((60, 4), np.float32))
    for wrong in (("--encoder", "minilm"), ("book.txt", "--embeddings", "x.npy")):
        assert "--passages joins lines of a CORPUS" in fails(2, "train", *wrong, "-o", "run", "--passages", 10)
    err = fails(3, "train", "book.txt", "-o", "run", "--passages", 10, "--split", "rest,1,1")
    assert "none of the runs of 12 lines fits into dev or test" in err


def test_a_model_learns_from_passages(here: Path, flip: Flip) -> None:
    book(here / "book.txt")
    done = flip("train", "book.txt", "-o", "run", "--passages", 40, "--augment", 0, "--epochs", 1)
    assert done.code == 0, done.err
    assert load_checkpoint(here / "run").config.data["train_sentences"] == 600 - 2 * 24 + 40
