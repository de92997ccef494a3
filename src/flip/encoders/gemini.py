"""Embed with Gemini, through google-genai: gemini-embedding-001, 768 dimensions as in the paper."""

from importlib.util import find_spec
from typing import Any

from flip.encoders.api import TIMEOUT, ApiEncoder, TryAgainError, failure, missing_key, retry_after
from flip.encoders.base import EncoderOptions
from flip.errors import UnavailableError
from flip.forks import made_in_each_process

_INSTALL = "pip install 'flip-interpret[gemini]'"
_KEYS = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
_DIMENSION = 768


def missing(model: str) -> str | None:
    """Return the package to install or the key to set, or None if it can run now."""
    return missing_key(_KEYS, "gemini") if _installed() else _INSTALL


def _installed() -> bool:
    return find_spec("google") is not None and find_spec("google.genai") is not None


class Gemini(ApiEncoder):
    """`batchEmbedContents`; the server cuts text beyond 2,048 tokens without a warning."""

    name: str = "gemini"
    keys = _KEYS
    key_name = "gemini"
    most_texts = 100  # the API's limit
    most_tokens = 15_000
    tokens_read = 2_048

    def __init__(self, model: str, options: EncoderOptions, *, device: str = "auto", offline: bool = False) -> None:
        """See `ApiEncoder`; 768 dimensions by default, of the model's 3,072."""
        super().__init__(model, options, device=device, offline=offline)
        self._dimension = options.dimensions or _DIMENSION

    def request(self, texts: list[str]) -> list[list[float]]:
        """Send one request; see `ApiEncoder.request`."""
        embed = self._client.models.embed_content
        from google.genai import errors

        config = {"output_dimensionality": self._dimension, "task_type": self.options.task_type}
        try:
            answer = embed(model=self.model, contents=texts, config=config)
            return [embedding.values for embedding in answer.embeddings or ()]
        except errors.APIError as error:
            after = retry_after(getattr(error.response, "headers", None))
            raise failure(error.code, str(error.message or error), after) from None
        except Exception as error:
            # From httpx or httpx2, whichever google-genai uses; both name their exceptions alike.
            kinds = {kind.__name__ for kind in type(error).__mro__}
            if "TimeoutException" in kinds:
                raise TryAgainError(f"no answer within {TIMEOUT:.0f} seconds") from None
            if "TransportError" in kinds:
                raise TryAgainError(f"no connection ({error})", answered=False) from None
            if kinds & {"ValueError", "AttributeError", "TypeError"}:
                raise TryAgainError(f"an answer without embeddings: {error}", answered=False) from None
            raise

    @made_in_each_process
    def _client(self) -> Any:
        try:
            import google.genai as genai
        except ImportError as error:
            raise UnavailableError(
                f"this encoder needs google-genai, which cannot be imported: {error}", _INSTALL
            ) from error

        options = genai.types.HttpOptions(base_url=self.options.base_url, timeout=int(1000 * TIMEOUT))
        return genai.Client(api_key=self.key, vertexai=False, http_options=options)
