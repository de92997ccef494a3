"""Load the checkpoints, encoders, transcribers and stores that the options of a call name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from flip.cli.call import Call, config_file
from flip.cli.output import fail
from flip.device import check_device_name, torch_device
from flip.encoders import catalog
from flip.encoders.base import Encoder, EncoderOptions, require_known_options
from flip.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from flip.encoders.multimodal import Transcriber
    from flip.inputs.stores.columns import ColumnChoice
    from flip.inputs.stores.store import Store
    from flip.model.checkpoint import Checkpoint
    from flip.stores.rows import StoreReader


def load_checkpoint(model: str | None, call: Call) -> Checkpoint:
    """Load a checkpoint; note it before one is downloaded, and if its probabilities are a guess."""
    from flip.model import checkpoint

    found = checkpoint.load_checkpoint(
        model, offline=call.runtime.offline, on_pull=lambda name: call.out.note(f"pulling {name} from the hub")
    )
    if found.unsure:
        call.out.note(f"{found.name}: {found.unsure}")
    return found


def encoder_name(given: str | None, checkpoint: Checkpoint, call: Call) -> str:
    """Return the name of the encoder for an input of a model.

    It is the one that the call names, else the one that the checkpoint stores or lets infer. An encoder that runs code
    or sends the input away is taken from the checkpoint only if FLIP_ENCODER names it too. The `encoder` of flip.toml
    or FLIP_ENCODER, which is for `flip embed`, is not used; a note tells so if it is another one.
    """
    environment = os.environ.get("FLIP_ENCODER")
    if checkpoint.encoder is None:
        given = given or environment
    name = given or checkpoint.require_encoder()
    if not given and checkpoint.inferred_encoder:
        call.out.note(f"{checkpoint.name} names no encoder; by the name of its folder it is {name}")
    other = call.config.value(("encoder",))
    if not given and other is not None and other != name:
        origin = call.config.origin(("encoder",))
        call.out.note(f"{origin}: {other} is not used, as {checkpoint.name} is for {name}")
    if given or name == environment:
        return name
    return catalog.require_harmless(name, checkpoint.name)


def vouched(given: str | None, checkpoint: Checkpoint) -> bool:
    """Return whether --encoder vouches that vectors of unknown origin are of the checkpoint's encoder.

    Raises:
        InputError: it names another one.
    """
    from flip.encoders.identity import EncoderIdentity, require_same_encoder

    if given is None:
        return False
    if checkpoint.encoder is not None and not catalog.runs_code(given):
        require_same_encoder(EncoderIdentity(given), EncoderIdentity(checkpoint.encoder), "the input")
    return True


def load_encoder(
    name: str, call: Call, stored: Mapping[str, object] | None = None, options: EncoderOptions | None = None
) -> Encoder:
    """Load an encoder; note it if the encoder cannot use the device that the call names.

    Args:
        name: of the encoder.
        call: its options override those that are stored; those that the encoder lacks are an error only if the command
            line gives them.
        stored: options of the checkpoint that it is for.
        options: other options than those of the call.

    Raises:
        UsageError: flip.toml names an encoder that runs code, or a server, and nobody trusts it; or as
            `flip.encoders.catalog.load_encoder`.
    """
    device = check_device_name(call.runtime.device)
    given = _known(name, options or call.encoder_options, call)
    _require_trust(name, given, call)
    given = replace(given.over(stored or {}), keyless=given.base_url is not None and _brought_base_url(call))
    encoder = catalog.load_encoder(name, given, device=device, offline=call.runtime.offline)
    if encoder.device == "cpu" and device not in ("auto", "cpu") and torch_device(device).type != "cpu":
        call.out.note(f"encoder {encoder.name} runs on the CPU; --device {device} is not used for it")
    return encoder


def load_encoders(names: list[str], call: Call) -> list[Encoder]:
    """Load several encoders; each gets those of the call's options that it has.

    Raises:
        UsageError: the command line gives an option that none of them has.
    """
    given = call.encoder_options
    known = [_options_of(name) for name in names]
    asked = {key: value for key, value in given.given().items() if call.given(key)}
    require_known_options(", ".join(names), EncoderOptions(**asked), set().union(*known))
    return [
        load_encoder(name, call, options=EncoderOptions(**{k: v for k, v in given.given().items() if k in has}))
        for name, has in zip(names, known, strict=True)
    ]


def load_transcriber(call: Call, language: str | None = None) -> Transcriber:
    """Load a transcriber of recordings for an encoder of text; `language` overrides the call's own."""
    from flip.encoders.multimodal import Transcriber

    options, runtime = call.encoder_options, call.runtime
    spoken = language or options.language
    return Transcriber(options.asr, language=spoken, device=runtime.device, offline=runtime.offline)


def _options_of(name: str) -> set[str]:
    entry, _ = catalog.find_entry(name)
    return {*(entry.options if entry else ()), "asr", "language"}


def _known(name: str, options: EncoderOptions, call: Call) -> EncoderOptions:
    """Return the options without those of flip.toml and the environment that the encoder lacks."""
    known = _options_of(name)
    lacking = {key for key in options.given() if key not in known and not call.given(key)}
    return type(options)(**{key: value for key, value in options.given().items() if key not in lacking})


def encoder_of(checkpoint: Checkpoint, given: str | None, call: Call, prompts: Iterable[str | None]) -> Encoder:
    """Load the encoder for inputs of a model, see `encoder_name`.

    Raises:
        UsageError: it takes no prompt, and one of `prompts` is not None; or as `load_encoder`.
    """
    name = encoder_name(given, checkpoint, call)
    entry, _ = catalog.find_entry(name)
    for prompt in prompts:
        require_known_options(name, EncoderOptions(prompt=prompt), entry.options if entry else ())
    return load_encoder(name, call, checkpoint.trained_on.options)


def _brought_base_url(call: Call) -> bool:
    return not call.given("base_url") and call.config.of_file(("encoder_options", "base_url"))


def _require_trust(name: str, options: EncoderOptions, call: Call) -> None:
    """Raise a UsageError if flip.toml alone names code to run or a server to send to, and nobody trusts it."""
    risky = {}
    if call.of_file("encoder") and catalog.runs_code(name):
        risky[f"the encoder {name!r}, which runs code"] = f"--encoder {name}"
    if options.base_url is not None and _brought_base_url(call):
        risky[f"the base_url {options.base_url!r}, to which sentences would be sent"] = f"--base-url {options.base_url}"
    if not risky or call.trusts:
        return
    what, flag = next(iter(risky.items()))
    raise UsageError(
        f"flip.toml in this folder names {what}",
        f"if you trust this folder: --trust, or {flag}, or list it in {config_file()}: [trust] folders = [...]",
    )


@contextmanager
def opened_store(
    name: str,
    columns: ColumnChoice,
    checkpoint: Checkpoint,
    call: Call,
    encoder: str | None = None,
    texts: Path | None = None,
    *,
    normalize: bool = False,
    recentre: bool = False,
) -> Iterator[StoreReader]:
    """Open a store for a model; report rows without words at the end.

    Args:
        name: of the store; one of a dataset on the hub is downloaded first.
        columns: what the user tells of its columns.
        checkpoint: the model.
        call: of the command.
        encoder: the one that vouches for vectors of unknown origin.
        texts: file with the texts of the rows of a `.npy`.
        normalize: bring vectors to the length of those of the training.
        recentre: move them to the mean of the training, which takes a pass over the store.

    Raises:
        InputError: not a store, without vectors, or with those of another encoder or dimension.
        Exit: with code 3 at the end, if vectors hold NaN or infinity.
    """
    from flip.inputs.stores.store import open_store
    from flip.stores.rows import StoreReader

    with open_store(address_of(name, call), for_model(columns, checkpoint), beside=texts) as store:
        if store.note:
            call.out.note(store.note)
        reader = StoreReader(store, checkpoint, _is_known(store, checkpoint, call, encoder), normalize)
        if recentre:
            with call.out.progress("measuring the mean") as on_rows:
                reader = reader.recentred(on_rows)
            assert reader.recentring is not None
            call.out.note(f"{store.name}: {reader.recentring.note}")
        yield reader
        _report(reader, call)


def chosen_columns(
    vectors: str | None,
    ids: str | None,
    texts: str | None,
    table: str | None,
    scale: str | None,
    offset: str | None,
    ranges: Path | None,
) -> ColumnChoice:
    """Return what the options of a command tell of a store's columns.

    Raises:
        UsageError, InputError: see `flip.inputs.stores.quantization.read_quantization`.
    """
    from flip.inputs.stores.columns import ColumnChoice
    from flip.inputs.stores.quantization import read_quantization

    return ColumnChoice(vectors, ids, texts, table, read_quantization(scale, offset, ranges))


def for_model(columns: ColumnChoice, checkpoint: Checkpoint) -> ColumnChoice:
    """Return the choices with what a model expects of vectors."""
    spread = checkpoint.embedding_stats
    return replace(columns, dimension=checkpoint.model.dimension, of_signs=spread.of_signs if spread else None)


def fetched(name: str, call: Call) -> str:
    """Return the path of a file of a dataset on the hub, `hf://...`, which is downloaded."""
    from flip.hub.client import dataset_file

    call.out.note(f"{name} is taken from the hub")
    return str(dataset_file(name, offline=call.runtime.offline))


def address_of(store: str, call: Call) -> str:
    """Return the address of a store; a single file of a dataset on the hub is downloaded.

    Raises:
        UnavailableError: the call is offline, and the store is on another machine.
    """
    from flip.inputs.sniffing import STORE_SUFFIXES, ending
    from flip.inputs.stores.places import is_uri

    if store.startswith("hf://") and "*" not in store and ending(store) in STORE_SUFFIXES | {".npy"}:
        return fetched(store, call)
    if call.runtime.offline and is_uri(store) and not store.startswith(("file://", "memory://")):
        raise UnavailableError(f"{store} is on another machine", "leave --offline out")
    return store


def _is_known(store: Store, checkpoint: Checkpoint, call: Call, encoder: str | None) -> bool:
    """Return whether something tells that the vectors are of the checkpoint's encoder; note it if nothing does."""
    from flip.stores.rows import is_known

    if store.dimension is None:
        raise store.no_vectors(checkpoint.model.dimension)
    known = is_known(store.about, store.dimension, store.name, checkpoint, vouched=vouched(encoder, checkpoint))
    if not known:
        call.out.note(
            f"the encoder of the vectors of {store.name} is unknown; {checkpoint.encoder} is taken on "
            f"trust, without probabilities (--encoder {checkpoint.encoder} vouches for it)"
        )
    return known


def _report(reader: StoreReader, call: Call) -> None:
    """Report how many rows have no words, and why."""
    counts = reader.counts
    if counts.missing:
        call.out.note(f"{counts.missing} of {counts.rows} rows have no vector, and no words")
    if counts.far:
        call.out.note(
            f"{counts.far} of {counts.rows} vectors lie far outside those of the training: another encoder, "
            "scale or normalisation?"
        )
    if counts.off_norm > counts.far:
        call.out.note(
            f"{counts.off_norm} of {counts.rows} vectors are longer or shorter than those of the training, which "
            "changes every probability: averages? (--normalize)"
        )
    if counts.bad:
        fail(
            f"{counts.bad} of {counts.rows} vectors hold NaN or infinity, and have no words; first: {counts.first_bad}",
            "embed these rows again",
        )
        raise typer.Exit(3)
