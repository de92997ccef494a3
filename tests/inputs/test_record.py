"""Vectors in forms that are not read are found, and nothing else is taken for one."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flip.inputs.record import unread_vector
from tests.conftest import Flip

D = 384
U = np.random.default_rng(2).normal(size=D).astype(np.float32) / 20
NUMBERS: list[float] = U.astype(float).tolist()
JOINED = ",".join(map(str, NUMBERS))

FORMS: dict[str, tuple[Any, str]] = {
    "nested": ([NUMBERS], "lists of another kind"),
    "nested twice": ([[[x] for x in NUMBERS]], "lists of another kind"),
    "object": ({"values": NUMBERS}, "an object"),
    "object by name": ({"default": NUMBERS}, "an object"),
    "object by dimension": ({str(i): x for i, x in enumerate(NUMBERS)}, "an object"),
    "object in an object": ({"dense": {"values": NUMBERS}}, "an object"),
    "comma": (JOINED, "text in another form"),
    "spaces": (JOINED.replace(",", " "), "text in another form"),
    "braces": (f"{{{JOINED}}}", "text in another form"),
    "parentheses": (f"({JOINED})", "text in another form"),
    "base64": (base64.b64encode(U.tobytes()).decode(), "base64"),
}
OTHERS: dict[str, Any] = {
    "ids of tokens": [list(range(D))],
    "ids as text": ",".join(map(str, range(D))),
    "another dimension": [NUMBERS[:-1]],
    "more": {"values": NUMBERS, "norm": 0.5},
    "words": " ".join(["word"] * D),
    "prose": "It was 0.5 of a mile. " * 80,
    "a hash": base64.b64encode(bytes(range(200))).decode(),
    "empty": [],
    "nothing": None,
    "true": [[True] * D],
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_a_vector(form: str) -> None:
    value, described = FORMS[form]
    found = unread_vector({"id": 3, "emb": value}, D)
    assert found == f"'emb' seems to be a vector of 384 dimensions, as {described}"


@pytest.mark.parametrize("kind", ["float64", "float16", "int8"])
def test_bytes_of_other_numbers(kind: str) -> None:
    found = unread_vector({"emb": U.astype(kind).tobytes()}, D)
    assert found is not None and found.endswith(f"bytes of {kind}")


@pytest.mark.parametrize("other", OTHERS)
def test_other_values_are_no_vector(other: str) -> None:
    assert unread_vector({"id": 3, "emb": OTHERS[other]}, D) is None


@pytest.mark.parametrize("as_number", [float, str, lambda x: Decimal(str(x))])
def test_a_field_for_each_dimension(as_number: Any) -> None:
    fields = {"id": 7, "score": 0.5} | {f"d{i}": as_number(x) for i, x in enumerate(NUMBERS)}
    assert unread_vector(fields, D) == "'d0' to 'd383' seem to be a vector of 384 dimensions, a field for each"
    assert unread_vector(fields, D + 1) is None


@pytest.mark.parametrize("name", ["emb", "vector", "embeddings"])
@pytest.mark.parametrize("form", FORMS)
def test_a_text_never_stands_for_a_vector_beside_it(flip: Flip, here: Path, form: str, name: str) -> None:
    row = {"text": "An old sailor described the boat.", name: FORMS[form][0]}
    Path("a.jsonl").write_text(json.dumps(row) + "\n")
    result = flip("explain", "a.jsonl")
    assert result.code == 3
    assert f"{name!r} seems to be a vector of 384 dimensions" in result.out
    assert "--text-column" in result.err
    assert flip("explain", "a.jsonl", "--text-column", "text").records[0]["keywords"][0]["word"] in ("boat", "sailor")


def test_columns_of_a_table(flip: Flip, here: Path) -> None:
    Path("wide.csv").write_text(f"text,{','.join(f'd{i}' for i in range(D))}\nA dog.,{JOINED}\n")
    Path("joined.csv").write_text(f'text,emb\nA dog.,"{JOINED}"\n')
    for name, field in (("wide.csv", "'d0' to 'd383'"), ("joined.csv", "'emb'")):
        result = flip("explain", name)
        assert result.code == 3 and field in result.out


STORED = {
    "nested": pa.array([[NUMBERS]]),
    "decimal": pa.array([[Decimal(str(round(x, 6))) for x in NUMBERS]]),
    "comma": pa.array([JOINED]),
    "braces": pa.array([f"{{{JOINED}}}"]),
    "object": pa.array([{"values": NUMBERS}]),
    "float64": pa.array([U.astype("f8").tobytes()]),
    "float16": pa.array([U.astype("f2").tobytes()]),
    "int8": pa.array([(U * 500).astype("i1").tobytes()]),
}


@pytest.mark.parametrize("command", [["words", "-o", "w.jsonl"], ["audit", "terms.txt"]])
@pytest.mark.parametrize("form", STORED)
def test_a_store_names_its_column(flip: Flip, here: Path, form: str, command: list[str]) -> None:
    pq.write_table(pa.table({"text": ["A dog."], "emb": STORED[form]}), "a.parquet")
    Path("terms.txt").write_text("dog\n")
    result = flip("store", command[0], "a.parquet", *command[1:])
    assert result.code == 3
    assert "'emb'" in result.err and "384 dimensions" in result.err
    assert "a vector is read as one list of numbers" in result.err or "frombuffer" in result.err
    if not form.startswith("float"):
        again = flip("store", command[0], "a.parquet", *command[1:], "--column", "emb")
        assert again.code == 3 and "'emb'" in again.err


def test_a_store_with_a_column_for_each_dimension(flip: Flip, here: Path) -> None:
    columns = {f"dim_{i}": [x] for i, x in enumerate(NUMBERS)}
    pq.write_table(pa.table({"text": ["A dog."], **columns}), "a.parquet")
    assert "'dim_0' to 'dim_383'" in flip("store", "words", "a.parquet", "-o", "w.jsonl").err
    pq.write_table(pa.table({"text": ["A dog."], "n": [3]}), "a.parquet")
    result = flip("store", "words", "a.parquet", "-o", "w.jsonl")
    assert result.code == 3 and "no column of vectors" in result.err and "it has: text, n" in result.err
