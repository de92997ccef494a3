"""The command `flip`: its subcommands, each in a file of its own."""

from __future__ import annotations

import sys
from typing import Annotated, cast

import typer
from typer.core import TyperGroup

from flip import __version__
from flip.cli import compare, embed, eval, explain, pull, stores, train, vocab
from flip.cli.call import load_config
from flip.cli.help import PanelCommand, brief
from flip.cli.output import fail_to_print, forget_stdout
from flip.cli.renamed import CommandGroup
from flip.cli.terminal import show_what_can_be_shown

app = typer.Typer(
    name="flip",
    cls=CommandGroup,
    help="Show which words a sentence embedding carries.",
    epilog="""\b
Examples:
  flip explain "The train to Boston was late."
  cat sents.txt | flip explain > words.jsonl
  flip train sents.txt -o run && flip explain --model run "Any sentence."
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


# In the order of the help, which has one line for each.
for _name, _command, _class, _epilog, _line in (
    ("explain", explain.explain, PanelCommand, explain.EPILOG, "Show the words that an embedding carries."),
    ("train", train.train, brief(*train.BASIC), train.EPILOG, "Learn a model from sentences."),
    ("eval", eval.evaluate, PanelCommand, eval.EPILOG, "Measure how much of its sentences a model recovers."),
    ("compare", compare.compare, PanelCommand, compare.EPILOG, "Compare encoders or models side by side."),
    ("embed", embed.embed, PanelCommand, embed.EPILOG, "Turn sentences and recordings into embeddings."),
    ("vocab", vocab.vocab, PanelCommand, vocab.EPILOG, "Choose the words that a model is to know."),
    ("pull", pull.pull, PanelCommand, pull.EPILOG, "Download a checkpoint or data."),
):
    app.command(_name, cls=_class, epilog=_epilog, short_help=_line)(_command)
app.add_typer(stores.app, name="store")

group = cast(TyperGroup, typer.main.get_command(app))


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        argv: arguments without the program's name; those of the process by default.
    """
    show_what_can_be_shown()
    config, defaults = load_config(group)
    try:
        group(args=argv, prog_name="flip", obj=config, default_map=defaults)
        code = 0
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # `--help | head`
            forget_stdout()
            return 0
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except OSError as error:
        return _unprinted(error)
    try:
        sys.stdout.flush()
    except OSError as error:
        return code or _unprinted(error)
    return code


def _unprinted(error: OSError) -> int:
    """Return the exit code when --help, --version or a completion cannot be written."""
    forget_stdout()
    return 0 if isinstance(error, BrokenPipeError) else fail_to_print((error.strerror or str(error)).lower())
