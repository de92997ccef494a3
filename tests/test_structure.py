"""The structure of the package: rooms see only those below them, and no two files import each other in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "flip"


def modules() -> dict[str, Path]:
    """Every file of the package by the name that it is imported by."""
    found = {}
    for path in SOURCE.rglob("*.py"):
        parts = ("flip", *path.relative_to(SOURCE).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(tree: ast.AST, names: dict[str, Path]) -> Iterator[str]:
    """The files that a file imports anywhere, also inside functions and for type checkers alone."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "flip":
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in names else node.module


def circles(graph: dict[str, set[str]]) -> list[str]:
    """Names that lead back to themselves: what is left when files without imports are taken away, again and again."""
    left = {name: set(others) for name, others in graph.items()}
    while done := [name for name, others in left.items() if not others & left.keys()]:
        for name in done:
            del left[name]
    return sorted(left)


def test_no_file_imports_itself_by_way_of_others() -> None:
    names = modules()
    graph = {
        name: {other for other in imported(ast.parse(path.read_text(encoding="utf-8")), names)
               if other != name and not name.startswith(f"{other}.")}
        for name, path in names.items()
    }  # fmt: skip
    assert len(graph) > 100
    assert circles(graph) == []


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c"]
