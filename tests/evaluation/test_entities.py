from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flip.errors import InputError
from flip.evaluation.entities import EntityRow, entity_metrics, entity_recall, match_entities, read_entities
from flip.evaluation.word_ranking import Ranking
from flip.text.vocabulary import Vocabulary

WORDS = Vocabulary(("ada", "bob", "city", "new", "york"))
TEXTS = {0: "Ada went to New York City.", 2: "Bob stayed.", 3: "No names."}


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def entities(tmp_path: Path, *lines: str):
    return match_entities(read_entities(write(tmp_path / "e.jsonl", *lines)), TEXTS, WORDS)


def test_a_byte_order_mark_and_compression_are_no_obstacle(tmp_path: Path) -> None:
    line = b'{"text": "Ada went.", "entity_names": ["Ada"]}\n'
    for content in (b"\xef\xbb\xbf" + line + b"\n", line.decode().encode("utf-16"), gzip.compress(line)):
        (tmp_path / "e.jsonl").write_bytes(content)
        [row] = read_entities(tmp_path / "e.jsonl")
        assert (row.text, row.names) == ("Ada went.", ("Ada",))
        assert row.where == f"{tmp_path}/e.jsonl, line 1"


def test_strict_and_partial_recall_by_hand(tmp_path: Path) -> None:
    found = entities(tmp_path, '{"text": "ada went to new york city", "entity_names": ["Ada", "New York City"]}')
    top = np.array([[3, 0, 1, 4, 2], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]])
    strict, partial = entity_recall(top, found, 5)
    assert strict.tolist() == [[0, 0.5, 0.5, 0.5, 1.0]]  # ada at k = 2, all of new york city at 5
    assert partial[0] == pytest.approx([1 / 6, (1 + 1 / 3) / 2, (1 + 1 / 3) / 2, (1 + 2 / 3) / 2, 1.0])


@given(st.permutations(range(5)), st.lists(st.lists(st.sampled_from([*WORDS.words, "zzz"]), min_size=1), min_size=1))
def test_recall_grows_with_k_and_partial_is_never_less_than_strict(top: list[int], names: list[list[str]]) -> None:
    rows = [EntityRow("", "Bob stayed.", None, tuple(" ".join(words) for words in names))]
    strict, partial = entity_recall(np.tile(top, (3, 1)), match_entities(rows, TEXTS, WORDS), 5)
    assert ((strict >= 0) & (strict <= partial + 1e-12) & (partial <= 1 + 1e-12)).all()
    assert (np.diff(strict) >= 0).all()
    assert (np.diff(partial) >= 0).all()


def test_precision_and_f1_count_words_of_any_entity(tmp_path: Path) -> None:
    found = entities(tmp_path, '{"text": "Ada went to New York City.", "entity_names": ["Ada", "New York"]}')
    ranking = {"bias": Ranking(np.tile(np.array([0, 1, 3, 2, 4]), (3, 1)), np.zeros((3, 5), np.float32))}
    metrics = entity_metrics(ranking, found, 5, topn=4)
    assert metrics["entity_precision"]["bias"].to_dict()["mean"] == pytest.approx(2 / 4)
    assert metrics["entity_f1"]["bias"].to_dict()["mean"] == pytest.approx(2 * 2 / (4 + 3))
    assert metrics["entity_curve"]["bias"].to_dict()["k"] == [1, 2, 3, 4, 5]


def test_duplicate_rows_and_names_count_once(tmp_path: Path) -> None:
    row = '{"text": "Bob stayed.", "entity_names": ["Bob", "bob!", "BOB"]}'
    found = entities(tmp_path, row, row)
    assert (found.sentence.tolist(), found.sizes.tolist(), found.rows) == ([1], [1], 2)


def test_rows_match_by_normalised_text_or_by_line(tmp_path: Path) -> None:
    found = entities(
        tmp_path,
        '{"text": "ADA went, to New York City", "entity_names": ["Ada"]}',
        '{"line_number": 3, "entity_names": ["Bob"]}',
        '{"line_number": 2, "entity_names": ["Bob"]}',
        '{"text": "Elsewhere.", "line_number": 4, "entity_names": ["Ada"]}',
        '{"text": "Bob stayed.", "line_number": 1, "entity_names": ["Bob"]}',
        '{"text": "Elsewhere.", "line_number": 5, "entity_names": ["Ada"]}',
    )
    assert found.sentence.tolist() == [0, 1, 2]  # line 3 is the second usable sentence
    assert found.unmatched == 2  # line 2 was blank, and there is no line 5; a text that is there decides


def test_rows_without_names_are_counted(tmp_path: Path) -> None:
    rows = ['{"text": "Bob stayed.", "entity_names": ["Bob"]}', '{"text": "No names."}']
    rows += ['{"text": "Bob stayed.", "entity_names": []}', '{"text": "x", "entity_names": null}']
    found = entities(tmp_path, *rows)
    assert (found.rows, found.nameless, found.unmatched) == (4, 3, 0)


NAMES = st.sampled_from(["Ada", "ada", "New York", "new  york", "O'Brien", "St. Bob", "Bob Zzz", "Bob Bob City", " "])


@given(st.permutations(range(5)), st.lists(NAMES, min_size=1, max_size=6), st.integers(1, 5))
def test_names_are_counted_as_the_published_evaluator_does(top: list[int], names: list[str], k: int) -> None:
    shown = {WORDS.words[w] for w in top[:k]}
    cut = [name.lower().split() for name in names]
    strict = len({n.lower() for n, c in zip(names, cut, strict=True) if shown >= {*c}}) / len(names)
    partial = sum(sum(w in shown for w in c) / len(c) if c else 0 for c in cut) / len(names)
    precision = len({w for c in cut for w in c} & shown) / len(shown)
    rows = [
        EntityRow("", "Bob stayed.", None, ("Ada",)),  # of two rows the last holds
        EntityRow("", "Bob stayed.", None, tuple(names)),
    ]
    found = match_entities(rows, TEXTS, WORDS, "published")
    ranking = {"bias": Ranking(np.tile(np.array(top), (3, 1)), np.zeros((3, 5), np.float32))}
    metrics = {name: side["bias"].to_dict() for name, side in entity_metrics(ranking, found, 5, topn=k).items()}
    assert metrics["entity_recall_strict"]["mean"] == pytest.approx(strict)
    assert metrics["entity_recall_partial"]["mean"] == pytest.approx(partial)
    assert metrics["entity_precision"]["mean"] == pytest.approx(precision)
    for name, recall in (("strict", strict), ("partial", partial)):
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0
        assert metrics[f"entity_f1_{name}"]["mean"] == pytest.approx(f1)


def test_a_word_out_of_the_vocabulary_is_never_found(tmp_path: Path) -> None:
    found = entities(tmp_path, '{"text": "Bob stayed.", "entity_names": ["Bob Zzz"]}')
    strict, partial = entity_recall(np.tile(np.arange(5), (3, 1)), found, 5)
    assert (strict[0, -1], partial[0, -1]) == (0.0, 0.5)


def test_names_without_a_word_are_no_entities(tmp_path: Path) -> None:
    found = entities(tmp_path, '{"text": "Bob stayed.", "entity_names": ["Bob", "—", ""]}')
    assert len(found.sentence) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "e.jsonl, line 1: not valid JSON"),
        ('{"text": "a", "entity_names": "b"}', 'line 1: no list of strings "entity_names"'),
        ('{"text": "a"}', "e.jsonl: no entity"),
        ('{"entity_names": ["a"]}', 'line 1: needs "text", or a "line_number"'),
        ("", "e.jsonl: no entity"),
        ('{"text": "elsewhere", "entity_names": ["a"]}', "none of the 1 entity rows belongs to a sentence"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        entities(tmp_path, line)
    assert message in error.value.message
    assert error.value.hint
