"""Check the schema of `datasets.yaml`; ignore fields of other programs."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError

from flip.errors import InputError

# YAML reads `id: 1` as a number, and a key without a value as null.
Id = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)


class Named(_Strict):
    """A file of embeddings or of text."""

    id: Id
    file: str
    modality: str | None = "text"
    language: str | None = None


class Similarity(_Strict):
    """A file of similarities, and the ids of the two embeddings that they compare."""

    file: str
    pair: list[Id] | None = None


class Entry(_Strict):
    """A dataset."""

    embeddings: list[Named] | None = None
    texts: list[Named] | None = None
    sim_scores: list[Similarity] | None = None


_MESSAGES = {
    "model_type": "must be an object",
    "list_type": "must be a list",
    "string_type": "must be text: put it in quotes",
    "missing": "is missing",
}
_SCHEMA = TypeAdapter(dict[Id, Entry])


def parsed(tree: object, manifest: Path) -> dict[str, Entry]:
    """Return the datasets by name.

    Raises:
        InputError: the manifest does not follow the schema; the message names the field.
    """
    try:
        return _SCHEMA.validate_python(tree)
    except ValidationError as error:
        first = error.errors()[0]
        name, *fields = (str(part) for part in first["loc"])
        place = "the name" if fields == ["[key]"] else ".".join(fields) or "it"
        raise InputError(
            f"{manifest}: dataset {name!r}: {place} {_MESSAGES.get(first['type'], first['msg'])}",
            "for example `test: {embeddings: [{id: en, file: test.npy}], texts: [{id: en, file: test.txt}]}`",
        ) from error
