"""Plain help in panels, without rich, which would take longer to load than a command to answer."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperOption

from flip.cli import call, options

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter

_EVERY = "flip.help_all"  # in the context: every option is shown
# Typer writes a default that is described in words in brackets inside of its own.
_DEFAULT = re.compile(r"\[default: \((.*)\)(; [^\]]*)?\]$", re.DOTALL)


class PanelCommand(TyperCommand):
    """A command whose options stand in the panels that they name, with the values in force as defaults."""

    basic: frozenset[str] | None = None  # the options that --help shows if there is a --help-all

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Parse the command line; a setting of another source that is wrong is an error of that source."""
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            error.message = _with_nearest(error.message.removeprefix("Value error, "))
            call.wrong_setting(ctx, error)
            raise

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write arguments, then a section for each panel that has an option."""
        sections: dict[str, list[tuple[str, str]]] = {panel: [] for panel in ("Arguments", *options.PANELS)}
        for param in self.get_params(ctx):
            record = _record(param, ctx)  # type: ignore[arg-type]
            if record is None:
                continue
            name = max(param.opts, key=len)
            if param.param_type_name == "argument":
                panel = "Arguments"
            elif name in ("--help", "--help-all"):
                panel = options.HELP
            elif self.basic is None or ctx.meta.get(_EVERY) or name in self.basic:
                panel = getattr(param, "rich_help_panel", None) or options.OUTPUT
            else:
                continue
            sections[panel].append((record[0], _DEFAULT.sub(r"[default: \1\2]", record[1])))
        for panel, records in sections.items():
            if records:
                with formatter.section(panel):
                    formatter.write_dl(records)


def _with_nearest(message: str) -> str:
    """Return a message on a wrong choice with the choice that is nearly the same, if there is one."""
    quoted = re.findall(r"'([^']*)'", message)
    if " is not one of " not in message or not quoted:
        return message
    near = difflib.get_close_matches(quoted[0], quoted[1:], n=1)
    return message + (f" Did you mean {near[0]!r}?" if near else "")


def _record(param: TyperOption | TyperArgument, ctx: Context) -> tuple[str, str] | None:
    """Return the two columns of a parameter; a setting in force takes the place of a default in words."""
    value = ctx.lookup_default(param.name, call=False)
    words = param.show_default
    if value is None or not isinstance(words, str):
        return param.get_help_record(ctx)
    shown = " ".join(value) if isinstance(value, list) else _switch(param, value)
    param.show_default = shown
    try:
        return param.get_help_record(ctx)
    finally:
        param.show_default = words


def _switch(param: TyperOption | TyperArgument, value: object) -> str:
    """Return a value as --help names it: for a switch, the name of the option without its dashes."""
    if param.secondary_opts and value in ("true", "false"):
        return (param.opts if value == "true" else param.secondary_opts)[0].removeprefix("--")
    return str(value)


def brief(*basic: str) -> type[PanelCommand]:
    """Return a command class whose --help shows only these options; `HelpAll` shows every one."""
    return type("BriefCommand", (PanelCommand,), {"basic": frozenset(basic)})


def show_all(ctx: typer.Context, wanted: bool) -> None:
    """Print the help with every option, and end."""
    if wanted:
        ctx.meta[_EVERY] = True
        print(ctx.get_help())
        raise typer.Exit


HelpAll: Any = typer.Option("--help-all", help="Show every option.", is_eager=True, callback=show_all)
