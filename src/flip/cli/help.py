"""Plain help in panels, without rich, which would take longer to load than a command to answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter

_EVERY = "flip.help_all"  # in the context: every option is shown
_OTHERS = "Output"  # also what is written, and said
_PANELS = {
    "Input": "--against --asr --augment --base-url --clips --config --data --dataset --dev --dimensions "
    "--embedding-pair --embeddings --encoder --encoder-batch-size --entities --extra --include --language "
    "--list-encoders "
    "--max-tokens --min-tokens --pair --prompt --revision --sentences --shard --sim-threshold --sonar-backend --split "
    "--task-type --teach --text --text-id --tokens --train --trust --weights",
    "Words": "--bigrams --concepts --max-df --max-features --min-count --min-df --min-pmi --ngram --normalize "
    "--strip-accents --tokenizer --unigrams --words",
    "Model": "--alpha --bias --bias-weight --calibrate --check-every --compare --dev-metric --early-stopping --epochs "
    "--init --inputs --l1 --lr --method --model --objective --patience --rank --recipe --reduction --resume "
    "--schedule --shuffle --targets --vocab --warm-up --weight-decay",
    "Store": "",
    _OTHERS: "",
    "Device": "--batch-size --concurrency --device --offline --precision --seed",
    "Help": "--help --help-all",
}
_PANEL = {flag: panel for panel, flags in _PANELS.items() for flag in flags.split()}
# Typer writes a default that is said in words in brackets inside of its own.
_DEFAULT = re.compile(r"\[default: \((.*)\)(; [^\]]*)?\]$", re.DOTALL)


class PanelCommand(TyperCommand):
    """A command whose options stand in panels, by their names; `rich_help_panel` of an option overrides that."""

    basic: frozenset[str] | None = None  # the options that --help shows where there is a --help-all

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Writes arguments, then a section for each panel that has an option."""
        sections: dict[str, list[tuple[str, str]]] = {panel: [] for panel in ("Arguments", *_PANELS)}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is None:
                continue
            name = max(param.opts, key=len)
            if param.param_type_name == "argument":
                panel = "Arguments"
            elif self.basic is None or ctx.meta.get(_EVERY) or name in self.basic or _PANEL.get(name) == "Help":
                panel = getattr(param, "rich_help_panel", None) or _PANEL.get(name, _OTHERS)
            else:
                continue
            sections[panel].append((record[0], _DEFAULT.sub(r"[default: \1\2]", record[1])))
        for panel, records in sections.items():
            if records:
                with formatter.section(panel):
                    formatter.write_dl(records)


def brief(*basic: str) -> type[PanelCommand]:
    """A command whose --help shows only these options; it needs an option --help-all with the callback `show_all`."""
    return type("BriefCommand", (PanelCommand,), {"basic": frozenset(basic)})


def show_all(ctx: typer.Context, wanted: bool) -> None:
    """Prints the help with every option, and ends."""
    if wanted:
        ctx.meta[_EVERY] = True
        print(ctx.get_help())
        raise typer.Exit


HelpAll: Any = typer.Option("--help-all", help="Show every option.", is_eager=True, callback=show_all)
