"""The examples in docstrings run, and what docstrings name is there."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import flip

PACKAGE = Path(flip.__path__[0])
# Importing an integration imports its library, which takes many seconds; they have no examples.
MODULES = [module.name for module in pkgutil.walk_packages(flip.__path__, "flip.")
           if not any(part in module.name for part in ("__main__", "integrations."))]  # fmt: skip
SOURCES = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
NAMED = {(str(path.relative_to(PACKAGE)), name) for path, text in SOURCES.items()
         for name in re.findall(r"`(flip(?:\.\w+)+)`", text) if name != "flip.toml"}  # fmt: skip


def has_examples(module: str) -> bool:
    return any(test.examples for test in doctest.DocTestFinder().find(importlib.import_module(module)))


@pytest.mark.parametrize("name", list(filter(has_examples, MODULES)))
def test_docstring_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize(("source", "name"), sorted(NAMED))
def test_what_a_docstring_names_is_there(source: str, name: str) -> None:
    """`source` is where it is named."""
    assert pkgutil.resolve_name(name) is not None
