"""FILE#ID,ID names records by their ids; a sentence with a `#` stays a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from flip.errors import InputError
from flip.inputs.record import Record
from flip.inputs.records import chosen
from flip.inputs.sniffing import rows_named


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("chunks.parquet#a", ("chunks.parquet", ("a",))),
        ("data/chunks.db#17,3,17", ("data/chunks.db", ("17", "3"))),
        ("u.npy#doc 1#0,doc 2#4", ("u.npy", ("doc 1#0", "doc 2#4"))),
        ("chunks.parquet", ("chunks.parquet", ())),
        ("C# is a language.", ("C# is a language.", ())),
        ("see notes.txt for #3", ("see notes.txt for #3", ())),
        ("# a heading", ("# a heading", ())),
        ("-", ("-", ())),
    ],
)
def test_a_name_is_taken_apart(given: str, expected: tuple[str, tuple[str, ...]]) -> None:
    assert rows_named(given) == expected


def test_a_file_may_have_the_sign_in_its_name(here: Path) -> None:
    (here / "a.txt#1").write_text("x", encoding="utf-8")
    assert rows_named("a.txt#1") == ("a.txt#1", ())
    assert rows_named("a.txt#2") == ("a.txt", ("2",))
    (here / "C").write_text("x", encoding="utf-8")
    assert rows_named("C# is a language.") == ("C# is a language.", ())


def test_records_come_in_the_order_of_the_ids() -> None:
    records = [
        InputError("line 1"),
        Record("2", id=7, text="seven"),
        Record("3", id="a", text="one"),
        Record("4", row=4),
        Record("5", id="a", text="two"),
        Record("6", text="without"),
    ]
    assert [(one.id, one.text) for one in chosen(records, ["a", "4", "7"], "f")] == [
        ("a", "one"), ("a", "two"), (4, None), (7, "seven"),
    ]  # fmt: skip
    with pytest.raises(InputError, match="f: nothing in it has the id 'None'"):
        list(chosen(records, ["7", "None"], "f"))
