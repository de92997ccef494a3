"""`flip store`: commands for stores of vectors. They read vectors, and never embed text."""

import typer

from flip.cli.help import PanelCommand
from flip.cli.stores import audit, drift, groups, search, sparse, words

app = typer.Typer(
    add_completion=False,
    help="Analyse a store of vectors: its words, groups and drift.",
    epilog="""\b
Examples:
  flip store words store.parquet -o words.parquet
  flip store groups store.parquet --by topic
  flip store search store.parquet "train, late"
""",
    no_args_is_help=True,
    rich_markup_mode=None,
)
for _name, _command, _epilog, _line in (
    ("words", words.words, words.EPILOG, "Write the words of every row beside its own columns."),
    ("groups", groups.groups, groups.EPILOG, "Show the words that set groups of rows apart."),
    ("search", search.search, search.EPILOG, "Show the rows that carry these words."),
    ("sparse", sparse.sparse, sparse.EPILOG, "Write rows as sparse vectors of words."),
    ("drift", drift.drift, drift.EPILOG, "Show the words that rose and fell between two stores."),
    ("audit", audit.audit, audit.EPILOG, "Measure how well listed terms can be read."),
):
    app.command(_name, cls=PanelCommand, epilog=_epilog, short_help=_line)(_command)
