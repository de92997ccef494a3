from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from flip.data.manifest import Dataset, EmbeddingFile
from flip.encoders.identity import EncoderIdentity
from flip.errors import InputError
from flip.evaluation.subject import select_embeddings
from flip.model.checkpoint import Checkpoint
from flip.model.config import CheckpointConfig
from flip.model.linear import LogLinear
from flip.text.vocabulary import Vocabulary


def checkpoint(name: str, d: int, encoder: str | None = None) -> Checkpoint:
    model = LogLinear(np.zeros((1, d), np.float32), np.zeros(1, np.float32))
    return Checkpoint(model, Vocabulary(("aa",)), CheckpointConfig(EncoderIdentity(encoder)), name)


@pytest.fixture
def dataset(tmp_path: Path):
    def make(*files: tuple[str, int, str | None]) -> Dataset:
        found = []
        for name, d, encoder in files:
            np.save(tmp_path / f"{name}.npy", np.zeros((3, d), np.float32))
            if encoder:
                about = {"encoder": encoder, "rows": 3, "truncated": 0}
                (tmp_path / f"{name}.json").write_text(json.dumps(about))
            found.append(EmbeddingFile(name, tmp_path / f"{name}.npy"))
        return Dataset("test", tuple(found), ())

    return make


def ids(found: list[list[EmbeddingFile]]) -> list[list[str]]:
    return [[file.id for file in files] for files in found]


def test_each_model_has_the_embedding_of_its_encoder_or_else_of_its_dimension(dataset) -> None:
    data = dataset(("a", 4, "labse"), ("b", 4, "minilm"), ("c", 6, None))
    models = [checkpoint("m", 4, "minilm"), checkpoint("l", 4, "labse"), checkpoint("o", 6)]
    assert ids(select_embeddings(data, models)) == [["b"], ["a"], ["c"]]
    assert ids(select_embeddings(data, models[:1])) == [["b"]]


def test_views_of_the_same_sentences_are_for_all_models(dataset) -> None:
    data = dataset(("text", 4, "sonar"), ("speech", 4, None))
    models = [checkpoint("r8", 4, "sonar"), checkpoint("r4", 4, "sonar"), checkpoint("unknown", 4)]
    assert ids(select_embeddings(data, models)) == [["text", "speech"]] * 3


def test_what_fits_not_or_too_often_is_said(dataset) -> None:
    wide = dataset(("wide", 6, None))
    with pytest.raises(InputError, match=r"wide\.npy has 6 dimensions; the checkpoint expects 4"):
        select_embeddings(wide, [checkpoint("m", 4)])
    data = dataset(("wide", 6, None), ("other", 4, "labse"))
    with pytest.raises(InputError, match="no embedding of dataset 'test' fits m: .*6 dimensions.*labse"):
        select_embeddings(data, [checkpoint("o", 6), checkpoint("m", 4, "minilm")])
    several = dataset(("x", 4, None), ("y", 4, None), ("wide", 6, None))
    with pytest.raises(InputError, match="several embeddings of dataset 'test' fit m: x, y"):
        select_embeddings(several, [checkpoint("m", 4, "minilm"), checkpoint("o", 6)])
    one = dataset(("z", 4, None))
    with pytest.raises(InputError, match="does not say which encoder made it, and of m and l only one"):
        select_embeddings(one, [checkpoint("m", 4, "minilm"), checkpoint("l", 4, "labse")])
    with pytest.raises(InputError, match="no embedding of dataset 'test' fits m: it has none"):
        select_embeddings(dataset(), [checkpoint("m", 4)])
