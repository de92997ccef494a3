"""The command `flip`: its subcommands, each in a file of its own, and an error for each former spelling of one."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, cast

import typer
from typer.core import TyperGroup

from flip import __version__
from flip.cli import call, output
from flip.cli.help import PanelCommand, brief

if TYPE_CHECKING:
    from typer._click import Command, Context

_NOW = {
    ("explain", "--output"): "flip store words STORE -o OUT",
    ("explain", "-o"): "flip store words STORE -o OUT",
    ("explain", "--group-by"): "flip store groups STORE --by COLUMN",
    ("explain", "--clusters"): "flip store groups STORE --clusters K",
    ("explain", "--labels"): "flip store groups STORE --by COLUMN --labels FILE",
    ("explain", "--find"): 'flip store search STORE "WORD, WORD"',
    ("explain", "--any"): 'flip store search STORE "WORD, WORD" --any',
    ("explain", "--rows"): 'flip store search STORE "WORD, WORD" --rows N',
    ("explain", "--sparse"): "flip store sparse STORE -o OUT",
    ("explain", "--summary"): "flip store drift OLD NEW",
    ("explain", "--table"): "flip store words STORE --table NAME -o OUT",
    ("explain", "--scale"): "flip store words STORE --scale S -o OUT",
    ("explain", "--id-column"): "flip store words STORE --id-column NAME -o OUT",
    ("explain", "--bias"): "--bias-weight 1",
    ("explain", "--no-bias"): "--bias-weight 0",
    ("explain", "--all"): "--min-probability 0",
    ("explain", "--vocab"): "put the vocabulary beside the model, as vocab.json",
    ("explain", "--trust"): "list the folder in config.toml: [trust] folders = [...]",
    ("explain", "--asr"): "FLIP_ENCODER_OPTIONS__ASR=MODEL, or flip.toml: [encoder_options] asr = ...",
    ("explain", "--sonar-backend"): "FLIP_ENCODER_OPTIONS__SONAR_BACKEND, or flip.toml: [encoder_options]",
    ("eval", "--encoder"): "flip compare SENTENCES --encoder A --encoder B",
    ("eval", "--compare"): "flip compare --model RUN --model OTHER --data datasets.yaml",
    ("eval", "--runs"): "flip compare SENTENCES --encoder A --encoder B --runs DIR",
    ("eval", "--split"): "flip compare SENTENCES --encoder A --encoder B --split S",
    ("eval", "--augment"): "flip compare SENTENCES --encoder A --encoder B --augment N",
    ("eval", "--results"): "flip compare SENTENCES --encoder A --encoder B --results DIR",
    ("eval", "--audit"): "flip store audit STORE TERMS",
    ("eval", "--limit"): "flip store audit STORE TERMS --limit X",
    ("eval", "--method"): "flip compare --model RUN --splice --data datasets.yaml",
    ("eval", "--vocab"): "put the vocabulary beside the model, as vocab.json",
}


class CommandGroup(TyperGroup):
    """The group of all commands; it tells what an option of an earlier spelling is called now."""

    def resolve_command(self, ctx: Context, args: list[str]):  # type: ignore[no-untyped-def]
        """Find the command of the arguments; end with an error if they are of an earlier spelling."""
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and not ctx.resilient_parsing:
            known = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
            for argument in rest[: rest.index("--") if "--" in rest else None]:
                option = argument.partition("=")[0]
                if option not in known and (now := _NOW.get((str(name), option))):
                    output.fail(f"flip {name} has no option {option}", f"now: {now}")
                    raise typer.Exit(2)
        return name, command, rest


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
    output.show_what_can_be_shown()
    config, defaults = call.load_config(group)
    try:
        group(args=argv, prog_name="flip", obj=config, default_map=defaults)
        code = 0
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # `--help | head`
            output.forget_stdout()
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
    output.forget_stdout()
    return 0 if isinstance(error, BrokenPipeError) else output.fail_to_print((error.strerror or str(error)).lower())
