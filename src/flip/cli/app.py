"""The command `flip`: its subcommands, each in a file of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, cast

import typer
from typer.core import TyperGroup

from flip import __version__
from flip.cli.call import load_config
from flip.cli.help import PanelCommand, brief
from flip.cli.output import fail_to_print, forget_stdout
from flip.cli.renamed import CommandGroup
from flip.cli.terminal import show_what_can_be_shown

if TYPE_CHECKING:
    from typer._click import Command

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


# In the order of the help, which has one line for each: module, its function or Typer app, the line.
_COMMANDS = {
    "explain": ("flip.cli.explain", "explain", "Show the words that an embedding carries."),
    "train": ("flip.cli.train", "train", "Learn a model from sentences."),
    "eval": ("flip.cli.eval", "evaluate", "Measure how much of its sentences a model recovers."),
    "compare": ("flip.cli.compare", "compare", "Compare encoders or models side by side."),
    "embed": ("flip.cli.embed", "embed", "Turn sentences and recordings into embeddings."),
    "vocab": ("flip.cli.vocab", "vocab", "Choose the words that a model is to know."),
    "pull": ("flip.cli.pull", "pull", "Download a checkpoint or data."),
    "store": ("flip.cli.stores", "app", ""),
}


class _Commands(Mapping[str, "Command"]):
    """The commands by name, each loaded when it is needed: all of them take a tenth of what `flip explain` does."""

    def __init__(self) -> None:
        self._loaded: dict[str, Command] = {}

    def __getitem__(self, name: str) -> Command:
        if name not in self._loaded:
            module, attribute, line = _COMMANDS[name]
            found = import_module(module)
            commands = getattr(found, attribute)
            if not isinstance(commands, typer.Typer):
                function, commands = commands, typer.Typer(add_completion=False, rich_markup_mode=None)
                kind = brief(*found.BASIC) if hasattr(found, "BASIC") else PanelCommand
                commands.command(name, cls=kind, epilog=found.EPILOG, short_help=line)(function)
            self._loaded[name] = typer.main.get_command(commands)
            self._loaded[name].name = name
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in _COMMANDS

    def __iter__(self) -> Iterator[str]:
        return iter(_COMMANDS)

    def __len__(self) -> int:
        return len(_COMMANDS)


group = cast(TyperGroup, typer.main.get_command(app))
group.commands = _Commands()  # type: ignore[assignment]


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
