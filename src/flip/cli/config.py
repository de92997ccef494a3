"""Settings from `flip.toml` and from `FLIP_*` variables, as the defaults of Typer's options.

Precedence: flag > environment > `flip.toml` in the working directory > default. In `flip.toml` shared settings stand at
the top and each command has a table (`[train]`, `[store.words]`); in the environment `FLIP_DEVICE=cpu`,
`FLIP_TRAIN__RANK=256`, `FLIP_STORE__WORDS__TOPN=5`. Values stay text, so that Typer's parser checks all sources alike.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from flip.encoders.base import EncoderOptions
from flip.errors import InputError
from flip.files import is_stream

if TYPE_CHECKING:
    from typer._click import Command
    from typer.core import TyperCommand, TyperGroup

CONFIG_FILE = "flip.toml"
Tree: TypeAlias = dict[str, Any]
Path_: TypeAlias = tuple[str, ...]

_SHARED = ("device", "encoder", "seed", "offline")
_ENCODER_OPTIONS = "encoder_options"
# An encoder for all commands is the one that embeds; others take the encoder of their model.
_EMBEDDING = ("embed", "train")
# Options of the same name that do not belong to the encoder.
_OTHERS = {("train", "precision")}
_ONCE = ("help", "help_all", "version", "verbose", "quiet", "as_json", "trust", "force", "config", "dry_run", "ctx")


@dataclass(frozen=True)
class Config:
    """Values of one process, by the path of their setting, such as ("train", "rank").

    variables: values of FLIP_* variables.  file: values of flip.toml.  present: whether there was one of them.
    """

    variables: Mapping[Path_, object] = field(default_factory=dict)
    file: Mapping[Path_, object] = field(default_factory=dict)
    present: bool = False

    @classmethod
    def load(cls, group: TyperGroup) -> Config:
        """Read both sources; nothing is imported if there is neither a flip.toml nor a FLIP_* variable.

        Raises:
            InputError: flip.toml is not TOML, or a variable is not the JSON that it starts as.
        """
        if not any(name.upper().startswith("FLIP_") for name in os.environ) and not Path(CONFIG_FILE).is_file():
            return cls()
        from flip.cli.sources import read_environment, read_file

        tables = [*group.commands, _ENCODER_OPTIONS]
        variables, file = read_environment(_SHARED, tables), read_file(Path(CONFIG_FILE))
        return cls(dict(_leaves(variables)), dict(_leaves(file)), present=True)

    def __bool__(self) -> bool:
        """Return whether there is a flip.toml, or a variable that may be meant as a setting."""
        return self.present

    def origin(self, setting: Path_) -> str:
        """Return the source of a setting, for messages."""
        if setting in self.variables:
            return f"FLIP_{'__'.join(setting)}".upper() + " in the environment"
        return f"{CONFIG_FILE}, setting {'.'.join(setting)}"

    def of_file(self, setting: Path_) -> bool:
        """Return whether flip.toml alone decides a setting."""
        return setting in self.file and setting not in self.variables

    def value(self, setting: Path_) -> object:
        """Return the value in force, or None."""
        return self.variables.get(setting, self.file.get(setting))

    def defaults(self, group: TyperGroup) -> Tree:
        """Return the default map of a group of commands.

        Raises:
            InputError: a setting that no command has, with the nearest that one has; or a list for one value.
        """
        known = dict(settings_of(group))
        commands = dict(commands_of(group))
        for setting in (*self.variables, *self.file):
            if setting not in known:
                raise InputError(f"{self.origin(setting)}: there is no such setting", _nearest(setting, known))
            for *path, name in known[setting]:
                require_fitting(commands[tuple(path)], name, self.value(setting), self.origin(setting))
        tree: Tree = {}
        for setting, targets in known.items():
            if (value := self.value(setting)) is not None:
                for *command, name in targets:
                    branch = tree
                    for part in command:
                        branch = branch.setdefault(part, {})
                    if len(setting) > 1 and setting[0] != _ENCODER_OPTIONS:
                        branch[name] = value
                    else:
                        branch.setdefault(name, value)
        return tree

    def encoder_options(self) -> EncoderOptions:
        """Return the options of encoders that the table `encoder_options` and its variables give.

        Raises:
            InputError: a value that the option does not take.
        """
        from pydantic import TypeAdapter, ValidationError

        names = [one.name for one in fields(EncoderOptions)]
        given = {name: self.value((_ENCODER_OPTIONS, name)) for name in names}
        given = {name: value for name, value in given.items() if value is not None}
        try:
            return TypeAdapter(EncoderOptions).validate_python(given)
        except ValidationError as error:
            first = error.errors()[0]
            setting = (_ENCODER_OPTIONS, str(first["loc"][0]))
            raise InputError(f"{self.origin(setting)}: {first['msg']}", "`flip embed --help` lists them") from error

    def require_regular(self, command: Path_, names: Sequence[str]) -> None:
        """Check that no input that these settings name is a device or a pipe.

        Whoever starts flip in a folder has not asked for those, and one such as /dev/zero never ends.

        Args:
            command: the command whose settings are meant.
            names: its settings that the command line does not give.

        Raises:
            InputError: one is.
        """
        for name in names:
            value = self.value((*command, name))
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, str) and is_stream(Path(item)):
                    raise InputError(
                        f"{self.origin((*command, name))}: {item} is not a regular file",
                        "name it on the command line if you mean it",
                    )

    def mistakes(self, group: TyperGroup, command: Path_) -> list[str]:
        """Return a line for each FLIP_* variable that looks like a misspelt setting.

        Args:
            group: all commands.
            command: the one that runs, whose settings are the likeliest to be meant.
        """
        known = {"FLIP_" + "__".join(setting).upper() for setting in dict(settings_of(group))}
        tables = {"FLIP_" + name.upper() for name in (*group.commands, _ENCODER_OPTIONS)}
        found = []
        for variable in sorted(os.environ):
            name = variable.upper()
            if not name.startswith("FLIP_") or name in known or name.partition("__")[0] in tables:
                continue  # a wrong setting in a table is an error
            ends = name.removeprefix("FLIP_")
            parts = ["FLIP_" + "__".join((*part, ends)).upper() for part in (command, (_ENCODER_OPTIONS,))]
            near = [one for one in parts if one in known] or difflib.get_close_matches(name, known, n=1, cutoff=0.8)
            if near:
                found.append(f"{variable} in the environment is not a setting: did you mean {near[0]}?")
        return found


def settings_of(group: TyperGroup) -> Iterator[tuple[Path_, list[Path_]]]:
    """Yield each setting, and the parameters of commands that it is the default of: (command..., name)."""
    parameters = {
        path: [one.name for one in command.params if one.name and one.name not in _ONCE]
        for path, command in commands_of(group)
    }
    for name in _SHARED:
        users = [
            path for path, names in parameters.items() if name in names and (name != "encoder" or path[0] in _EMBEDDING)
        ]
        yield (name,), [(*path, name) for path in users]
    for option in fields(EncoderOptions):
        if option.name != "keyless":
            yield (
                (_ENCODER_OPTIONS, option.name),
                [
                    (*path, option.name)
                    for path, names in parameters.items()
                    if option.name in encoder_options_of(path, names)
                ],
            )
    for path, names in parameters.items():
        for name in names:
            yield (*path, name), [(*path, name)]


def encoder_options_of(command: Path_, names: Collection[str]) -> list[str]:
    """Return those options of a command that are options of its encoder.

    Args:
        command: its path.
        names: of all its options.
    """
    known = [option.name for option in fields(EncoderOptions)]
    return [name for name in known if name in names and (*command, name) not in _OTHERS]


def commands_of(group: TyperGroup, path: Path_ = ()) -> Iterator[tuple[Path_, TyperCommand]]:
    """Yield every command of a group and of the groups in it, with its path, such as ("store", "words")."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands_of(command, (*path, name))  # type: ignore[arg-type]
        else:
            yield (*path, name), command  # type: ignore[misc]


def _leaves(tree: Tree, path: Path_ = ()) -> Iterator[tuple[Path_, object]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, str(key)))
        else:
            yield (*path, str(key)), as_text(value)


def require_fitting(command: Command, name: str, value: object, origin: str) -> None:
    """Check that a list is only given to an option that takes several values: Typer would make it one text.

    Raises:
        InputError: a list for one value, or a list or a table inside of a list.
    """
    several = any(one.name == name and (one.nargs != 1 or getattr(one, "multiple", False)) for one in command.params)
    if isinstance(value, dict) or (
        isinstance(value, list) and (not several or any(isinstance(item, (list, dict)) for item in value))
    ):
        found = "a table" if isinstance(value, dict) else "a list"
        raise InputError(f"{origin}: {found}, not {'a list of values' if several else 'one value'}", "give one value")


def as_text(value: object) -> object:
    """Return a value as the command line would spell it, so that `true` is a switch and never the number 1."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        return [as_text(item) for item in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


def _nearest(setting: Path_, known: Mapping[Path_, object]) -> str:
    """Return a hint at the settings that stand beside an unknown one."""
    beside = [other[-1] for other in known if other[:-1] == setting[:-1]]
    near = difflib.get_close_matches(setting[-1], beside, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    tables = {other[0] for other in known if len(other) > 1}
    return f"there are: {', '.join(sorted(beside or tables))}"
