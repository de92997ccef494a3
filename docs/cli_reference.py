"""Write the reference of all commands into the page cli.md when the site is built."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flip.cli.app import group
from flip.cli.config import commands_of

MARK = "<!-- commands -->"


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put the reference in the place of its mark."""
    return markdown.replace(MARK, "\n".join(reference())) if page.file.src_uri == "cli.md" else markdown


def reference() -> Iterator[str]:
    """Yield the lines of the reference: a section for each command, with a table of its options."""
    shown_store = False
    for path, command in commands_of(group):
        if path[0] == "store" and not shown_store:
            shown_store = True
            yield from (
                "## flip store",
                "",
                "Commands for stores of vectors. They read vectors, and never embed text.",
                "",
            )
        context = command.make_context(path[-1], [], resilient_parsing=True)
        level = "##" if len(path) == 1 else "###"
        yield from (f"{level} flip {' '.join(path)}", "")
        yield from (command.help or "", "")
        arguments = " ".join(command.collect_usage_pieces(context)[1:])
        yield from ("```text", f"flip {' '.join(path)} [OPTIONS] {arguments}".rstrip(), "```", "")
        yield from ("| option | |", "|---|---|")
        for param in command.params:
            if (record := param.get_help_record(context)) is not None:
                name, text = (cell.replace("|", "\\|").replace("<", "&lt;") for cell in record)
                yield f"| `{name.replace('&lt;', '<')}` | {text} |"
        yield ""
