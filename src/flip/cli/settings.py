"""Settings of every command: flag > `FLIP_*` environment > `flip.toml` in the working directory > default.

A command's flags that were not given are None and fall through. In `flip.toml` shared settings stand at the top and
each command has a table; in the environment `FLIP_DEVICE=cpu`, `FLIP_TRAIN__RANK=256`.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from pydantic import Field, PrivateAttr, ValidationError, model_validator
from pydantic.dataclasses import dataclass
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from flip.cli import options
from flip.cli.options import SharedSettings
from flip.cli.options.section import Seed
from flip.cli.trust import require_trust
from flip.encoders.base import EncoderOptions
from flip.errors import InputError, UsageError
from flip.files import is_stream, without_mark

if TYPE_CHECKING:
    from flip.cli.options import (
        EmbedSettings,
        EvalSettings,
        ExplainSettings,
        PullSettings,
        TrainSettings,
        VocabSettings,
    )
else:  # as pydantic checks them
    VocabSettings, EmbedSettings, TrainSettings = map(
        dataclass, (options.VocabSettings, options.EmbedSettings, options.TrainSettings)
    )
    EvalSettings, ExplainSettings, PullSettings = map(
        dataclass, (options.EvalSettings, options.ExplainSettings, options.PullSettings)
    )

CONFIG_FILE = "flip.toml"

_OF_A_UNION = re.compile(r"constrained-|literal\[|function-")  # what pydantic adds where several kinds are allowed
_COMMANDS = {"vocab", "embed", "train", "eval", "explain", "pull"}
_OUTPUTS = {"output", "details", "plot", "report", "labels", "sparse", "runs", "results"}


class Settings(BaseSettings):
    """What a command runs with."""

    model_config = SettingsConfigDict(
        env_prefix="FLIP_", env_nested_delimiter="__", toml_file=CONFIG_FILE, extra="forbid"
    )

    device: str = SharedSettings.device
    encoder: str = SharedSettings.encoder
    encoder_options: EncoderOptions = EncoderOptions()
    seed: Seed = SharedSettings.seed
    offline: bool = SharedSettings.offline
    vocab: VocabSettings = Field(default_factory=VocabSettings)
    embed: EmbedSettings = Field(default_factory=EmbedSettings)
    train: TrainSettings = Field(default_factory=TrainSettings)
    eval: EvalSettings = Field(default_factory=EvalSettings)
    explain: ExplainSettings = Field(default_factory=ExplainSettings)
    pull: PullSettings = Field(default_factory=PullSettings)
    _named: frozenset[str] = PrivateAttr(default=frozenset())
    # What flip.toml decided of the settings that run code or send sentences away, and whether the user trusts it.
    _brought: dict[str, Any] = PrivateAttr(default_factory=dict)
    _trusted: bool = PrivateAttr(default=False)

    @model_validator(mode="before")
    @classmethod
    def _truth_is_no_number(cls, given: Any) -> Any:
        return _truth_spelled(given, cls)

    def require_trust(self, encoder: str) -> None:
        """Before an encoder is loaded, see `flip.cli.trust.require_trust`."""
        if not self._trusted:
            brought = encoder in self._brought.get("encoders", ())
            require_trust(encoder if brought else None, self._brought.get("base_url"))

    @property
    def named(self) -> frozenset[str]:
        """The settings that the command line names: those of the command, and shared ones."""
        return self._named

    @property
    def keyless(self) -> bool:
        """Whether the base_url comes from flip.toml: no key is sent there, trusted or not."""
        return "base_url" in self._brought

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """No .env file and no secrets folder."""
        return init_settings, env_settings, _Toml(settings_cls)


def _truth_spelled(value: Any, kind: Any) -> Any:
    """The same with `true` as a word where a number is meant, which pydantic would take for 1."""
    if isinstance(value, dict):
        kinds = get_type_hints(kind) if isinstance(kind, type) else {}
        return {key: _truth_spelled(item, kinds.get(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_truth_spelled(item, kind) for item in value]
    allowed = {kind, *get_args(kind)}
    return str(value).lower() if isinstance(value, bool) and allowed & {int, float} and bool not in allowed else value


class _Toml(TomlConfigSettingsSource):
    def _read_file(self, file_path: Any) -> dict[str, Any]:
        """As its base does it, and with a byte order mark."""
        return tomllib.loads(without_mark(file_path.read_bytes()).decode())


def load_settings(section: str, shared: dict[str, Any], own: dict[str, Any], *, trust: bool = False) -> Settings:
    """Reads all sources for one command.

    Args:
        section: the command's name.
        shared, own: flags by name, None where not given; an empty list counts as not given.
        trust: whether flip.toml may name code to run and servers to send to.

    Raises:
        UsageError: a flag or an environment variable has a value that is not allowed.
        InputError: `flip.toml` is not TOML, or holds an unknown key or a wrong value.
    """

    def given(flags: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in flags.items() if value is not None and value != []}

    flags = given(shared) | {section: given(own)}
    try:
        settings = Settings(**flags)
        settings._brought, settings._trusted = _brought_by_file(settings, flags), trust
        settings._named = frozenset(flags[section]) | (flags.keys() - {section})
        _require_files(section, vars(getattr(settings, section)), flags[section])
        return settings
    except ValidationError as error:
        first = error.errors()[0]
        path = [part for part in map(str, first["loc"]) if not _OF_A_UNION.match(part)]
        message = first["msg"].removeprefix("Value error, ")
        near = _near_match(error)
        if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            message, near = "there is no such setting", _near_name(path)
        if _is_flag(path, flags):
            flag = path[-1 if len(path) < 3 else 1].replace("_", "-")
            raise UsageError(f"--{flag}: {message}", near) from error
        of = path[0] if path[0] in _COMMANDS else "embed"  # which has all that is of encoders
        raise InputError(f"{origin(path)}: {message}", near or f"`flip {of} --help` says what there is") from error
    except SettingsError as error:
        text = getattr(error.__cause__, "doc", None)
        name = next((name for name, value in os.environ.items() if value == text), "a variable")
        raise InputError(
            f"{name} in the environment: {error.__cause__}", 'a list is JSON: ["a.txt", "b.txt"]'
        ) from error
    except (ValueError, RecursionError) as error:  # not TOML, or brackets too deep
        raise InputError(f"{CONFIG_FILE}: {error}") from error


def origin(path: Sequence[str]) -> str:
    """Where a setting that no flag names comes from, for messages: a variable of the environment, or flip.toml."""
    if _has(EnvSettingsSource(Settings)(), path[:2]):
        return f"FLIP_{'__'.join(path[:2])}".upper() + " in the environment"
    return f"{CONFIG_FILE}, setting {'.'.join(path)}"


def mistaken_variables(section: str) -> list[str]:
    """What is said of variables of the environment that look like settings and are none, for a command."""
    known = []
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        known += [f"{name}__{one.name}" for one in fields(kind)] if is_dataclass(kind) else [name]
    known = [f"FLIP_{name}".upper() for name in known]
    found = []
    for variable in sorted(os.environ):
        name = variable.upper()
        if (
            not name.startswith("FLIP_")
            or name in known
            or name.partition("__")[0][5:].lower() in Settings.model_fields
        ):
            continue  # a wrong setting of a command is an error
        parts = [f"FLIP_{part}__{name.removeprefix('FLIP_')}" for part in (section.upper(), "ENCODER_OPTIONS")]
        if near := [one for one in parts if one in known] or difflib.get_close_matches(name, known, n=1, cutoff=0.8):
            found.append(f"{variable} in the environment is no setting: did you mean {near[0]}?")
    return found


def _require_files(section: str, values: dict[str, Any], flags: dict[str, Any]) -> None:
    """Raises an InputError where an input that was not named on the command line is a device or a pipe.

    Whoever starts flip in a folder has not asked for those, and one such as /dev/zero never ends.
    """
    for name in values.keys() - flags.keys() - _OUTPUTS:
        for item in values[name] if isinstance(values[name], list) else [values[name]]:
            if isinstance(item, str | Path) and is_stream(Path(item)):
                raise InputError(
                    f"{origin([section, name])}: {item} is no regular file",
                    "name it on the command line, if you mean it",
                )


def _brought_by_file(settings: Settings, flags: dict[str, Any]) -> dict[str, Any]:
    """Of encoders and base_url, what neither a flag nor the environment says."""
    file = _Toml(Settings)()
    environment = EnvSettingsSource(Settings)()

    def brought(*path: str) -> bool:
        return not _has(flags, path) and not _has(environment, path) and _has(file, path)

    found: dict[str, Any] = {}
    found["encoders"] = [settings.encoder] if brought("encoder") else []
    if brought("eval", "encoder"):
        found["encoders"] += settings.eval.encoder
    if brought("encoder_options", "base_url"):
        found["base_url"] = settings.encoder_options.base_url
    return found


def _has(tree: Any, path: Sequence[str]) -> bool:
    for part in path:
        if not isinstance(tree, dict) or part not in tree:
            return False
        tree = tree[part]
    return True


def _is_flag(path: list[str], flags: dict[str, Any]) -> bool:
    return _has(flags, tuple(path[:2]))


def _near_match(error: ValidationError) -> str | None:
    """A hint, where one of the first setting's allowed words is nearly what was given."""
    problems = error.errors()
    for problem in problems:
        if problem["type"] == "literal_error" and problem["loc"][:2] == problems[0]["loc"][:2]:
            allowed = re.findall(r"'([^']*)'", problem["ctx"]["expected"])
            if near := difflib.get_close_matches(str(problem["input"]), allowed, n=1):
                return f"did you mean {near[0]!r}?"
            if problem is not problems[0]:
                return f"{problem['ctx']['expected']} is allowed too"
    return None


def _near_name(path: list[str]) -> str:
    """A hint at the settings that there are beside an unknown one."""
    section = Settings.model_fields[path[0]].annotation if len(path) > 1 else None
    known = [one.name for one in fields(section)] if is_dataclass(section) else [*Settings.model_fields]
    near = difflib.get_close_matches(path[-1], known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(known))}"
