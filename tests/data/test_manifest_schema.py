"""datasets.yaml is checked as a whole before a file that it names is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from flip.data.manifest import load_manifest
from flip.errors import InputError


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: 1", "dataset 'a': it must be an object"),
        ("a: {embeddings: 3}", "dataset 'a': embeddings must be a list"),
        ("1: {texts: [{id: t}]}", r"dataset '1': texts\.0\.file is missing"),
        ("true: {}", "the name must be text: put it in quotes"),
        ("a: {texts: [{id: t, file: t, language: true}]}", r"texts\.0\.language must be text: put"),
        ("a: {sim_scores: [{file: x, pair: 3}]}", r"sim_scores\.0\.pair must be a list"),
    ],
)
def test_an_error_names_its_place(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "d.yaml").write_text(content)
    with pytest.raises(InputError, match=message):
        load_manifest(tmp_path / "d.yaml")


def test_numbers_are_ids_and_fields_of_others_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text("7: {x: y, embeddings: , texts: [{id: 1, file: t.txt, rate: 3, language: und}]}")
    (text,) = load_manifest(tmp_path / "d.yaml")["7"].texts
    assert (text.id, text.file, text.language) == ("1", tmp_path / "t.txt", None)
