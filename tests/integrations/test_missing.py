"""Without its library an integration says what to install."""

from __future__ import annotations

import importlib
import sys

import pytest

from flip.errors import UnavailableError


@pytest.mark.parametrize(("name", "library"), [("bertopic", "bertopic"), ("sentence_transformers", "st")])
def test_what_is_missing_is_named(name: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, f"flip.integrations.{name}", raising=False)
    with pytest.raises(UnavailableError, match="is not installed") as raised:
        importlib.import_module(f"flip.integrations.{name}")
    assert raised.value.hint == f"pip install 'flip-interpret[{library}]'"
