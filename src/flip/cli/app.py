"""The command `flip`: six subcommands, each in a file of its own."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from flip import __version__
from flip.cli import embed, eval, explain, pull, train, vocab

app = typer.Typer(
    name="flip",
    help="Show which words a sentence embedding carries.",
    epilog="""\b
Examples:
  flip explain "The train to Boston was late."
  flip train sents.txt -o run
""",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"flip {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Show which words a sentence embedding carries."""


app.command("vocab", epilog=vocab.EPILOG)(vocab.vocab)
app.command("embed", epilog=embed.EPILOG)(embed.embed)
app.command("train", epilog=train.EPILOG)(train.train)
app.command("eval", epilog=eval.EPILOG)(eval.evaluate)
app.command("explain", epilog=explain.EPILOG)(explain.explain)
app.command("pull", epilog=pull.EPILOG)(pull.pull)


def main(argv: list[str] | None = None) -> int:
    """Runs the command line and returns its exit code.

    Args:
        argv: arguments without the program's name; those of the process by default.
    """
    try:
        app(args=argv, prog_name="flip")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


def run() -> None:
    """Entry point of the installed command."""
    sys.exit(main())
