"""Any OpenAI-compatible endpoint, through the openai SDK: OpenAI, vLLM, Ollama, text-embeddings-inference."""

from __future__ import annotations

from functools import cached_property
from importlib.util import find_spec
from typing import Any

from flip.encoders.api import TIMEOUT, ApiEncoder, RefusedError, TryAgainError, missing_key, retry_after
from flip.errors import UnavailableError

_INSTALL = "pip install 'flip-interpret[openai]'"
_KEYS = ("OPENAI_API_KEY",)


def missing(model: str) -> str | None:
    """None where it would run now, else what to install or set."""
    if find_spec("openai") is None:
        return _INSTALL
    key = missing_key(_KEYS, "openai")
    return key and f"{key}, or give --base-url"


class OpenAI(ApiEncoder):
    """`/embeddings` of an endpoint. `--base-url` names another than OpenAI's own, which needs no key."""

    name: str = "openai"
    keys = _KEYS
    key_name = "openai"
    most_texts = 256  # of 2,048: smaller requests come back sooner, and less is asked again when one fails
    most_tokens = 100_000  # of 300,000: they are only estimated here

    def request(self, texts: list[str]) -> list[list[float]]:
        """See `ApiEncoder.request`."""
        import openai

        extra: dict[str, Any] = {}
        if self.options.dimensions is not None:
            extra["dimensions"] = self.options.dimensions
        try:
            answer = self._client.embeddings.create(model=self.model, input=texts, **extra)
            items = sorted(answer.data or (), key=lambda item: item.index)
        except openai.APIStatusError as error:
            if error.status_code in (408, 409, 429) or error.status_code >= 500:
                after = retry_after(error.response.headers)
                raise TryAgainError(f"HTTP {error.status_code}", after) from None
            unavailable = error.status_code in (401, 403, 404)
            raise RefusedError(f"HTTP {error.status_code}: {_message(error)}", unavailable) from None
        except openai.APITimeoutError:
            raise TryAgainError(f"no answer within {TIMEOUT:.0f} seconds") from None
        except openai.APIConnectionError as error:
            raise TryAgainError(f"no connection ({error.__cause__ or error})") from None
        except (openai.APIResponseValidationError, ValueError, AttributeError, TypeError):
            raise TryAgainError("an answer that is not what the API promises") from None
        return [item.embedding for item in items]

    @cached_property
    def _client(self) -> Any:
        if find_spec("openai") is None:
            raise UnavailableError("this encoder needs the openai package, which is not installed", _INSTALL)
        import openai

        # Retries are ours, the same for every API.
        return openai.OpenAI(api_key=self.key, base_url=self.options.base_url, timeout=TIMEOUT, max_retries=0)


def _message(error: Any) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    return str(body.get("message") or error.message)[:300]
