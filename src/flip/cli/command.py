"""A command from its section of settings: each setting with a flag is an option, and the body gets the settings."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from flip.cli import options
from flip.cli.flag import Flag, flags_of
from flip.cli.output import Output, guarded

if TYPE_CHECKING:
    from flip.data.published_configs import PublishedConfig

_SECTIONS = {
    "vocab": options.VocabSettings,
    "embed": options.EmbedSettings,
    "train": options.TrainSettings,
    "eval": options.EvalSettings,
    "explain": options.ExplainSettings,
    "pull": options.PullSettings,
}
# Every command takes these, so that a script may give them to any; where one does nothing, --help does not name it.
_ALWAYS = ("device", "seed", "offline")
_SPOKEN = {
    "trust": typer.Option("--trust", help="Use the encoder of one's own, or the base_url, that flip.toml names."),
    "as_json": typer.Option("--json", help="JSON lines on a terminal too."),
    "quiet": typer.Option("--quiet", "-q", help="No notes and no progress, only results and errors."),
}
_CONFIG = Annotated[
    Path | None,
    typer.Option("--config", help="Published configuration (train_lolm.yaml, vocab_en.yaml); flags override it."),
]


def command(
    section: str,
    *,
    shared: tuple[str, ...] = (),
    encoder: tuple[str, ...] = (),
    published: bool = False,
    default_encoder: str | None = None,
    verbose: str = "Show tracebacks.",
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Turns a function of (settings, out, and options of its own) into the body of a Typer command.

    Its options are those of its section of the settings, its own, the shared ones and those of encoders that are
    named here, and --json, --quiet and --verbose. What is not given falls through to environment, flip.toml and
    default.

    Args:
        section: of flip.toml.
        shared: settings at the top of flip.toml that it uses, and trust where it may load what that file names.
        encoder: options of encoders that it has.
        default_encoder: as --help names it, where it is not that of the settings.
        verbose: help of --verbose.
        published: whether it takes --config, a published configuration.
    """

    def decorate(body: Callable[..., None]) -> Callable[..., None]:
        own = {name: kind for name, (_, kind) in flags_of(_SECTIONS[section]).items()}
        top = {name: kind for name, (_, kind) in flags_of(options.SharedSettings).items() if name in shared}
        if default_encoder:
            top["encoder"] = replace(options.ENCODER, default=default_encoder).parameter(str, None)
        top |= {
            name: Flag(names=(f"--{name}",), hidden=True).parameter(_shared_types()[name], None)
            for name in _ALWAYS
            if name not in shared
        }
        of_encoder = {name: options.ENCODER_FLAGS[name].parameter(_encoder_types()[name], None) for name in encoder}
        extras = list(inspect.signature(body).parameters.values())[2:]  # the first are settings and out
        spoken = {name: info for name, info in _SPOKEN.items() if name != "trust" or "trust" in shared}
        spoken["verbose"] = typer.Option("--verbose", "-v", help=verbose)

        @guarded
        def run(**given: Any) -> None:
            out = Output(as_json=given["as_json"], quiet=given["quiet"], verbose=given["verbose"])
            config = _read(given.get("config"), section, out)
            flags = {name: given[name] for name in top}
            flags["encoder_options"] = {name: given[name] for name in of_encoder if given[name] is not None} or None

            from flip.cli.settings import load_settings, mistaken_variables

            for mistake in mistaken_variables(section):
                out.note(f"note: {mistake}")
            settings = load_settings(
                section,
                config.shared | {name: value for name, value in flags.items() if value is not None},
                config.under({name: given[name] for name in own}),
                trust=given.get("trust", False),
            )
            with redirect_stdout(sys.stderr):  # results are printed by `out`; an encoder of one's own may print too
                body(settings, out, **{parameter.name: given[parameter.name] for parameter in extras})

        parameters = [
            *(_parameter(name, kind, None) for name, kind in own.items()),
            *(_parameter(one.name, _evaluated(one.annotation, body), one.default) for one in extras),
            *([_parameter("config", _CONFIG, None)] if published else []),
            *(_parameter(name, kind, None) for name, kind in (of_encoder | top).items()),
            *(_parameter(name, Annotated[bool, info], False) for name, info in spoken.items()),
        ]
        run.__doc__, run.__name__ = body.__doc__, body.__name__
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        return run

    return decorate


def _read(path: Path | None, section: str, out: Output) -> PublishedConfig:
    """The settings of a published configuration, empty where none is named; says which keys have no effect."""
    from flip.data.published_configs import PublishedConfig, read_train_config, read_vocab_config

    if path is None:
        return PublishedConfig({}, {}, ())
    config = read_train_config(path) if section == "train" else read_vocab_config(path)
    if config.ignored:
        out.note(f"note: {path}: ignored {', '.join(config.ignored)}")
    return config


@cache
def _shared_types() -> dict[str, Any]:
    return get_type_hints(options.SharedSettings)


@cache
def _encoder_types() -> dict[str, Any]:
    from flip.encoders.base import EncoderOptions

    return get_type_hints(EncoderOptions)


def _parameter(name: str, kind: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def _evaluated(annotation: Any, body: Callable[..., None]) -> Any:
    """Evaluates an annotation of the body, which `from __future__ import annotations` leaves as text."""
    if not isinstance(annotation, str):
        return annotation
    return eval(annotation, inspect.unwrap(body).__globals__)
