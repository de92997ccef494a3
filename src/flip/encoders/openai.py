"""Embed with any OpenAI-compatible endpoint, through the openai SDK: OpenAI, vLLM, Ollama and others."""

import base64
import json
from importlib.util import find_spec
from typing import Any

import numpy as np

from flip.encoders.api import TIMEOUT, ApiEncoder, RefusedError, TryAgainError, failure, missing_key, retry_after, said
from flip.errors import UnavailableError
from flip.forks import made_in_each_process

_INSTALL = "pip install 'flip-interpret[openai]'"
_KEYS = ("OPENAI_API_KEY",)


def missing(model: str) -> str | None:
    """Return the package to install or the key to set, or None if it can run now."""
    if find_spec("openai") is None:
        return _INSTALL
    key = missing_key(_KEYS, "openai")
    return key and f"{key}, or give --base-url"


def _in_order(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the items of an answer by their index, a number or its text; as they stand if no item has one.

    Raises:
        TryAgainError: two items have the same index.
    """
    if len(items) == 1 or all(item.get("index") is None for item in items):
        return items
    by_index = {int(item["index"]): item for item in items}
    if len(by_index) < len(items):
        raise TryAgainError("gave the same index twice", by_text=True)
    return [by_index[index] for index in sorted(by_index)]


def _numbers(embedding: object) -> list[float]:
    """Return one embedding: a list of numbers, base64 of little-endian float32, or a list of one list (llama.cpp).

    Raises:
        RefusedError: there are several vectors for one text.
    """
    if isinstance(embedding, str):
        return [float(number) for number in np.frombuffer(base64.b64decode(embedding), "<f4")]
    if not isinstance(embedding, list):
        return []
    if not (embedding and isinstance(embedding[0], list)):
        return embedding
    if len(embedding) > 1:
        raise RefusedError(
            f"gave {len(embedding)} vectors for a text, one for each token: the server must pool them", unavailable=True
        )
    return _numbers(embedding[0])


class OpenAI(ApiEncoder):
    """`/embeddings` of an endpoint. `--base-url` names another one than OpenAI's own; it needs no key."""

    name: str = "openai"
    keys = _KEYS
    key_name = "openai"
    most_texts = 256  # of 2,048: smaller requests come back sooner, and less is asked again when one fails
    most_tokens = 100_000  # of 300,000: they are only estimated here

    def request(self, texts: list[str]) -> list[list[float]]:
        """Send one request; see `ApiEncoder.request`."""
        create = self._client.embeddings.with_raw_response.create
        import openai

        extra: dict[str, Any] = {}
        if self.options.dimensions is not None:
            extra["dimensions"] = self.options.dimensions
        try:
            # Not every server knows base64, which the SDK would ask for.
            body = create(model=self.model, input=texts, encoding_format="float", **extra).text
        except openai.APIStatusError as error:
            text, after = error.response.text, retry_after(error.response.headers)
            raise failure(error.status_code, text, after) from None
        except openai.APITimeoutError:
            raise TryAgainError(f"no answer within {TIMEOUT:.0f} seconds") from None
        except openai.APIConnectionError as error:
            raise TryAgainError(f"no connection ({error.__cause__ or error})", answered=False) from None
        try:
            found = json.loads(body)  # reads NaN, which servers in Python write
            items = found["data"] if isinstance(found, dict) else found
            return [_numbers(item["embedding"]) for item in _in_order(items)]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise TryAgainError(f"an answer without embeddings: {said(body)}", answered=False) from None

    @made_in_each_process
    def _client(self) -> Any:
        try:
            import openai
        except ImportError as error:
            raise UnavailableError(
                f"this encoder needs the package openai, which cannot be imported: {error}", _INSTALL
            ) from error

        # Retries are ours, the same for every API.
        return openai.OpenAI(api_key=self.key, base_url=self.options.base_url, timeout=TIMEOUT, max_retries=0)
