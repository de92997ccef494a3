"""One clear error for each spelling of a command that the README had before the commands were split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from typer.core import TyperGroup

from flip.cli.output import fail

if TYPE_CHECKING:
    from typer._click import Context

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
                    fail(f"flip {name} has no option {option}", f"now: {now}")
                    raise typer.Exit(2)
        return name, command, rest
