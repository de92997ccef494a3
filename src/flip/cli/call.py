"""One call of a command: who set which option, what runs where, which files it may write, and where results go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from flip.cli.config import CONFIG_FILE, Config, encoder_options_of
from flip.cli.output import Output, fail
from flip.device import Runtime
from flip.encoders.base import EncoderOptions
from flip.errors import FlipError, InputError, UsageError
from flip.files import is_stream, os_errors, readable, require_apart, user_config, written_by_flip

if TYPE_CHECKING:
    from typer._click import Context

# Options that name files to write; every other one that names a file names one to read.
OUTPUTS = frozenset({"output", "html", "report", "plot", "details", "results", "labels", "runs", "dataset"})
PUBLISHED = "flip.published"  # in the context: the configuration of --config

# Commands that look at what is there themselves, and replace only what they wrote.
_CAREFUL = {("vocab",), ("embed",), ("train",)}


def config_file() -> Path:
    """Return the path of the user's own configuration."""
    return user_config("config.toml")


def trusted_folders() -> list[Path]:
    """Return the folders that config.toml trusts, with all below them.

    Raises:
        InputError: config.toml is not TOML, or its `[trust] folders` is not a list of paths.
    """
    path = config_file()
    if not readable(path):
        return []
    import tomllib

    with os_errors(path, "read"):
        try:
            tree = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: not valid TOML: {error}") from error
    folders = tree.get("trust", {}).get("folders", []) if isinstance(tree.get("trust", {}), dict) else None
    if not isinstance(folders, list) or not all(isinstance(folder, str) for folder in folders):
        raise InputError(f"{path}: [trust] folders is not a list of paths", '[trust]\nfolders = ["~/my-project"]')
    found = []
    for folder in folders:
        with suppress(RuntimeError):  # ~ of a user without a home
            found.append(Path(folder).expanduser().resolve())
    return found


@dataclass(frozen=True)
class Published:
    """A published configuration.  names: options that it sets.  ignored: its keys that have no effect here."""

    path: Path
    names: frozenset[str]
    ignored: tuple[str, ...]


@dataclass(frozen=True)
class Call:
    """A call of a command, made by `begin`.

    ctx: Typer's context.  out: prints for it.  config: flip.toml and FLIP_* variables.  runtime: device, network, seed.
    """

    ctx: typer.Context
    out: Output
    config: Config
    runtime: Runtime

    @property
    def command(self) -> tuple[str, ...]:
        """Return the path of the command, such as ("store", "words")."""
        return command_path(self.ctx)

    def given(self, *names: str) -> list[str]:
        """Return those of these options that the command line gives."""
        return [name for name in names if _source(self.ctx, name) == "COMMANDLINE"]

    def of_file(self, name: str) -> bool:
        """Return whether flip.toml alone decides an option of this command."""
        published = self.ctx.meta.get(PUBLISHED)
        if _source(self.ctx, name) != "DEFAULT_MAP" or (published and name in published.names):
            return False
        return self.config.of_file(setting_of(self.ctx, name))

    @property
    def trusts(self) -> bool:
        """Return whether flip.toml may name code, servers, and outputs outside its folder: --trust, or config.toml."""

        if self.ctx.params.get("trust"):
            return True
        return any(Path.cwd().is_relative_to(folder) for folder in trusted_folders())

    @cached_property
    def encoder_options(self) -> EncoderOptions:
        """Return the options of encoders: those of this command, else of `encoder_options` in flip.toml or FLIP_*."""
        options = self.config.encoder_options() if self.config else EncoderOptions()
        params = self.ctx.params
        names = encoder_options_of(self.command, params.keys())
        return replace(options, **{name: params[name] for name in names if params[name] is not None})

    def params_of(self, *command: str) -> dict[str, Any]:
        """Return the options of another command with their values in force, such as those of [vocab] for training."""
        found: Any = self.ctx.find_root().command
        parent = self.ctx.find_root()
        for name in command[:-1]:
            found = found.commands[name]
            parent = found.make_context(name, [], parent=parent, ignore_unknown_options=True)
        found = found.commands[command[-1]]
        params: dict[str, Any] = found.make_context(command[-1], [], parent=parent).params
        return params

    def refuse(self, panel: str, reason: str, hint: str) -> None:
        """Raise a UsageError if the command line gives an option of this panel of --help.

        Args:
            panel: name of the panel.
            reason: why none of its options has an effect in this call, after "--name ".
            hint: the next step.
        """
        for param in self.ctx.command.params:
            if getattr(param, "rich_help_panel", None) == panel and self.given(str(param.name)):
                raise UsageError(f"{max(param.opts, key=len)} {reason}", hint)


def begin(ctx: typer.Context, *, stream: bool = False) -> Call:
    """Return the call of a command whose options are parsed.

    Args:
        ctx: of the command; it has the options --json, --quiet and --verbose.
        stream: whether standard output is all that the command writes, see `Output`.

    Raises:
        FlipError: flip.toml or the environment cannot be read, has an unknown setting, or names a device as input.
    """
    params = ctx.params
    out = Output(
        as_json=bool(params.get("as_json")), quiet=bool(params.get("quiet")), verbose=bool(params.get("verbose")),
        stream=stream,
    )  # fmt: skip
    config = ctx.find_root().obj or Config()
    if isinstance(config, FlipError):
        raise config
    runtime = Runtime(
        params.get("device", Runtime.device), params.get("offline", Runtime.offline), params.get("seed", Runtime.seed)
    )
    call = Call(ctx, out, config, runtime)
    if (published := ctx.meta.get(PUBLISHED)) and published.ignored:
        out.note(f"{published.path}: ignored {', '.join(published.ignored)}")
    if config:
        group: TyperGroup = ctx.find_root().command  # type: ignore[assignment]
        for mistake in config.mistakes(group, call.command):
            out.note(f"{mistake}")
        brought = [name for name in params if _source(ctx, name) == "DEFAULT_MAP" and name not in OUTPUTS]
        config.require_regular(call.command, brought)
    return call


def command_path(ctx: Context) -> tuple[str, ...]:
    """Return the names from the program's first subcommand on."""
    names: list[str] = []
    while ctx.parent is not None:
        names.insert(0, str(ctx.info_name))
        ctx = ctx.parent
    return tuple(names)


def setting_of(ctx: Context, name: str) -> tuple[str, ...]:
    """Return the setting that decides an option of a command: the nearest that has a value, else its own."""
    config = ctx.find_root().obj
    ways = [(*command_path(ctx), name), ("encoder_options", name), (name,)]
    return next((way for way in ways if config.value(way) is not None), ways[0])


def wrong_setting(ctx: Context, error: typer.BadParameter) -> None:
    """End the command with an error of flip.toml or the environment if one of them set the parameter of this error."""
    name = error.param.name if error.param is not None else None
    config = ctx.find_root().obj
    if name is None or _source(ctx, name) != "DEFAULT_MAP":
        return
    published = ctx.meta.get(PUBLISHED)
    if published and name in published.names:
        origin = f"{published.path}, {name}"
    else:
        origin = config.origin(setting_of(ctx, name))
    fail(f"{origin}: {error.message}", f"`flip {' '.join(command_path(ctx))} --help` lists the values")
    raise typer.Exit(3)


def load_config(group: TyperGroup) -> tuple[Config | FlipError, dict[str, Any]]:
    """Return the settings of flip.toml and FLIP_*, or the error that every command then ends with; and the default map.

    Args:
        group: all commands, whose options the settings are.
    """
    try:
        config = Config.load(group)
        return config, config.defaults(group) if config else {}
    except FlipError as error:
        return error, {}


def _source(ctx: Context, name: str) -> str:
    source = ctx.get_parameter_source(name)
    return "" if source is None else source.name


def require_outputs(call: Call, outputs: Mapping[str, Path | None], inputs: Iterable[str | Path | None]) -> None:
    """Check the outputs of a command before anything is read or made.

    Args:
        call: of the command.
        outputs: its options that name files to write, and the files; None if there is none.
        inputs: all that it reads, see `flip.data.companions.files_read`; flip.toml and --config are added.

    Raises:
        UsageError: an output is an input, or another output; or flip.toml names it, and it lies outside the folder of
            flip.toml, is a device, or would replace a file that flip did not write.
    """
    written = {name: path for name, path in outputs.items() if path is not None}
    if not written:
        return
    from flip.data.companions import files_read

    published = call.ctx.meta.get(PUBLISHED)
    named = [*inputs, CONFIG_FILE, published.path if published else None]
    read = [path for name in named if name is not None for path in files_read(name)]
    for name, path in written.items():
        require_apart(path, read)
        for other, same in written.items():
            if other != name and same.resolve() == path.resolve():
                raise UsageError(f"--{name} and --{other} are both {path}", "name a file for each")
        if call.of_file(name) and not call.trusts:
            _require_harmless(call, name, path)


def _require_harmless(call: Call, name: str, path: Path) -> None:
    why = None
    if is_stream(path):
        why = "a device or a pipe"
    elif not path.resolve().is_relative_to(Path.cwd().resolve()):
        why = "outside its folder"
    elif call.command == ("pull",) and path.is_dir() and any(path.iterdir()):
        why = "a folder that has files"
    elif call.command not in _CAREFUL and path.is_file() and not written_by_flip(path):
        why = "a file that flip did not write"
    if why:
        param = next(param for param in call.ctx.command.params if param.name == name)
        trust = ", or --trust" if "trust" in call.ctx.params else ""
        hint = f"if you mean it: {max(param.opts, key=len)} {path}{trust}"
        raise UsageError(f"flip.toml names {path} as {name}, {why}", hint)
