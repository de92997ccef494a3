"""How a setting is given on the command line, and the settings' own checks; light, since --help needs all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer


@dataclass(frozen=True)
class Flag:
    """Stands in the annotation of a setting that has an option, or is an argument.

    help: one line.
    names: of the option, by default --NAME-OF-THE-SETTING.
    default: as --help names it, where that is not the setting's own.
    metavar: what stands for the value.
    hidden: taken, but not named by --help.
    panel: of --help, where it is not the option's usual one.
    """

    help: str = ""
    names: tuple[str, ...] = ()
    default: str | None = None
    metavar: str | None = None
    argument: bool = False
    hidden: bool = False
    panel: str | None = None

    def parameter(self, kind: Any, default: Any) -> Any:
        """The type of a Typer parameter for a setting of this type and default; it is None where it is not given."""
        shown = self.default or _shown(default, self.names)
        if self.argument:
            info = typer.Argument(metavar=self.metavar, help=self.help, show_default=shown or False)
        else:
            info = typer.Option(
                *self.names, metavar=self.metavar, help=self.help, show_default=shown or False, hidden=self.hidden,
                rich_help_panel=self.panel,
            )  # fmt: skip
        return Annotated[_parsed_as(kind) | None, info]


def flag(help: str = "", *names: str, **more: Any) -> Flag:
    """A Flag of an option with these names."""
    return Flag(help, names, **more)


argument = partial(Flag, argument=True)


@dataclass(frozen=True)
class Checked:
    """Stands in the annotation of a setting whose values a function checks, and may change.

    check: raises a ValueError that says what is wrong.  alone: no type is checked before.
    """

    check: Callable[[Any], Any]
    alone: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        from pydantic_core import core_schema

        if self.alone:
            return core_schema.no_info_plain_validator_function(self.check)
        return core_schema.no_info_after_validator_function(self.check, handler(source))


@cache
def flags_of(settings: type) -> dict[str, tuple[Flag, Any]]:
    """The flags of a class of settings by the settings' names, with the Typer type of each."""
    found = {}
    for name, annotation in get_type_hints(settings, include_extras=True).items():
        for extra in get_args(annotation)[1:] if get_origin(annotation) is Annotated else ():
            if isinstance(extra, Flag):
                found[name] = (extra, extra.parameter(annotation, getattr(settings, name, None)))
    return found


def _shown(default: Any, names: tuple[str, ...]) -> str | None:
    """A default as --help has it; None where there is nothing to say."""
    if isinstance(default, bool):
        on, _, off = (names[0] if names else "").partition("/")
        return (on if default else off).removeprefix("--") if off else None
    if isinstance(default, tuple):
        return " ".join(map(str, default))
    return None if default is None else str(default)


def _parsed_as(kind: Any) -> Any:
    """What Typer is to make of the text: where words are allowed that are no type, the text itself."""
    if get_origin(kind) is Annotated:
        inner, *extras = get_args(kind)
        return str if any(isinstance(extra, Checked) and extra.alone for extra in extras) else _parsed_as(inner)
    if get_origin(kind) in (Union, UnionType):
        kinds = [one for one in get_args(kind) if one is not type(None)]
        several = [one for one in kinds if get_origin(one) is list]
        return several[0] if several else _parsed_as(kinds[0]) if len(kinds) == 1 else str
    if get_origin(kind) is Literal:
        return str
    return kind if get_origin(kind) in (list, tuple) or kind in (int, float, bool, Path) else str
