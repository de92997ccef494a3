"""Embed with any OpenAI-compatible endpoint, through the openai SDK: OpenAI, vLLM, Ollama and others."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import orjson

from flip.encoders.api import TIMEOUT, ApiEncoder, TryAgainError, failure, missing_key, retry_after, said
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
            items = sorted(orjson.loads(body)["data"], key=lambda item: item["index"])
            return [item["embedding"] for item in items]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise TryAgainError(f"an answer without embeddings: {said(body)}", answered=False) from None

    @made_in_each_process
    def _client(self) -> Any:
        if find_spec("openai") is None:
            raise UnavailableError("this encoder needs the openai package, which is not installed", _INSTALL)
        import openai

        # Retries are ours, the same for every API.
        return openai.OpenAI(api_key=self.key, base_url=self.options.base_url, timeout=TIMEOUT, max_retries=0)
