"""What the encoders behind an API share: requests within its limits, retries, keys that are never shown."""

from __future__ import annotations

import os
import random
import threading
import tomllib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from flip.encoders.base import EncoderOptions, read_text
from flip.errors import FlipError, InputError, UnavailableError, UsageError
from flip.files import os_errors

TIMEOUT = 60.0  # seconds, of one request
_ATTEMPTS = 8
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0  # seconds
_LONGEST_ASKED = 120.0  # seconds that a server may ask us to wait; for longer nobody wants to sit and watch
_BYTES_PER_TOKEN = 4  # of English; other scripts have more tokens


class TryAgainError(Exception):
    """A request failed in a way that may pass: rate limit, server error, timeout, broken answer.

    after: seconds that the server asked to wait, where it did.
    """

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class RefusedError(Exception):
    """A request failed, and would again. unavailable: the key or the model is at fault, not the text."""

    def __init__(self, reason: str, unavailable: bool) -> None:
        super().__init__(reason)
        self.unavailable = unavailable


class ApiEncoder(ABC):
    """An encoder behind HTTP. Its subclasses send one request; this does the rest.

    A request holds at most `most_texts` texts and about `most_tokens` tokens. What fails in a way that may pass is
    tried again with growing random waits, or after as long as the server says. Where that is more than two minutes,
    the call fails and says when to come back.
    """

    name: str
    modalities = frozenset({"text"})
    most_texts: int
    most_tokens: int
    keys: tuple[str, ...]  # environment variables, the first that is set counts
    key_name: str  # in keys.toml

    def __init__(self, model: str, options: EncoderOptions, *, device: str = "auto", offline: bool = False) -> None:
        """Asks nobody yet; `device` and precision are the server's affair.

        Raises:
            UnavailableError: offline, unless the server is on this machine.
        """
        if offline and not _is_loopback(options.base_url):
            raise UnavailableError(f"{model} is behind an API, and --offline forbids the network")
        if options.concurrency < 1:
            raise UsageError(f"--concurrency {options.concurrency}: at least 1")
        self.model, self.options = model, options
        self.revision = model
        self.device = "api"
        self.concurrency = options.concurrency
        self.batch_size = self.most_texts
        self._dimension = options.dimensions
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    @property
    def dimension(self) -> int:
        """As asked for, or what the server gives: then one word is sent to see it."""
        with self._lock:
            if self._dimension is None:
                self._dimension = len(self._send(["dimension"])[0])
        return self._dimension

    def encode(self, batch: Sequence[str | Path]) -> NDArray[np.float32]:
        """Embeds n sentences: (n, d).

        Raises:
            UnavailableError: no key, refused, out of reach after several attempts, or to be asked much later.
            InputError: the server does not take one of the sentences.
        """
        texts = [(self.options.prompt or "") + read_text(item, self.name) for item in batch]
        return np.concatenate([self._send(request) for request in self._requests(texts)])

    def stop(self) -> None:
        """Ends the waiting of calls that are running: they fail at once instead of trying again."""
        self._stopped.set()
        self._stopped = threading.Event()

    def plan(self, texts: Sequence[str]) -> tuple[int, int]:
        """How many requests and about how many tokens these sentences take; asks nobody."""
        prompted = [(self.options.prompt or "") + text for text in texts]
        return sum(1 for _ in self._requests(prompted)), sum(map(_tokens, prompted))

    @abstractmethod
    def request(self, texts: list[str]) -> list[list[float]]:
        """Sends one request.

        Raises:
            TryAgainError, RefusedError: as they say.
        """

    @property
    def key(self) -> str:
        """The key from the environment or keys.toml; a server of the user's own may need none."""
        for variable in self.keys:
            if os.environ.get(variable):
                return os.environ[variable]
        key = _stored_keys().get(self.key_name)
        if key or self.options.base_url:
            return key or "none"
        raise UnavailableError(
            f"encoder {self.name} needs a key", f"set {self.keys[0]}, or {self.key_name} = ... in {keys_file()}"
        )

    def _requests(self, texts: Sequence[str]) -> Iterator[list[str]]:
        request: list[str] = []
        tokens = 0
        for text in texts:
            if request and (len(request) == self.most_texts or tokens + _tokens(text) > self.most_tokens):
                yield request
                request, tokens = [], 0
            request.append(text)
            tokens += _tokens(text)
        if request:
            yield request

    def _send(self, texts: list[str]) -> NDArray[np.float32]:
        stopped = self._stopped
        try:
            for attempt in range(_ATTEMPTS):
                try:
                    return self._checked(self.request(texts), len(texts))
                except TryAgainError as error:
                    if error.after is not None and error.after > _LONGEST_ASKED:
                        raise UnavailableError(
                            f"{self.name}: {error}; the server asks to come back in {error.after:.0f} seconds",
                            "what came back is kept; give the same command again then",
                        ) from None
                    if attempt == _ATTEMPTS - 1 or stopped.wait(_wait(attempt, error.after)):
                        raise UnavailableError(
                            f"{self.name}: {error}, {attempt + 1} times in a row",
                            "what came back is kept; give the same command again later",
                        ) from None
        except RefusedError as error:
            if error.unavailable:
                hint = f"check the key ({self.keys[0]}), the model and --base-url"
                raise UnavailableError(f"{self.name}: {self._redacted(str(error))}", hint) from None
            raise InputError(f"{self.name}: {self._redacted(str(error))}") from None
        except FlipError as error:
            error.message = self._redacted(error.message)
            raise
        raise AssertionError

    def _checked(self, vectors: list[list[float]], expected: int) -> NDArray[np.float32]:
        if len(vectors) != expected:
            raise TryAgainError(f"gave {len(vectors)} embeddings for {expected} sentences")
        if len({len(vector) for vector in vectors}) != 1:
            raise TryAgainError("gave embeddings of different dimensions")
        if self._dimension is not None and len(vectors[0]) != self._dimension:
            raise RefusedError(f"gave {len(vectors[0])} dimensions, not {self._dimension}", unavailable=True)
        return np.array(vectors, np.float32)

    def _redacted(self, message: str) -> str:
        key = self.key
        return " ".join(message.replace(key, "***").split()) if key != "none" else message


def keys_file() -> Path:
    """Where keys may be stored: `openai = "..."`, `gemini = "..."`."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "flip" / "keys.toml"


def missing_key(variables: Sequence[str], name: str) -> str | None:
    """None where there is a key, else how to give one."""
    if any(os.environ.get(variable) for variable in variables) or _stored_keys().get(name):
        return None
    return f"set {variables[0]}"


def _stored_keys() -> dict[str, str]:
    path = keys_file()
    if not path.is_file():
        return {}
    with os_errors(path, "read"):
        try:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: not valid TOML") from error


def _tokens(text: str) -> int:
    return 1 + len(text.encode()) // _BYTES_PER_TOKEN


def _wait(attempt: int, after: float | None) -> float:
    """The server's wish, else exponential backoff; random, so that concurrent requests do not come back together."""
    if after is not None:
        return after
    return float(random.uniform(0.5, 1) * min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt))


def retry_after(headers: object) -> float | None:
    """Seconds in a Retry-After header; a date counts as no wish."""
    get = getattr(headers, "get", None)
    value = get("retry-after") if get else None
    try:
        return max(0.0, float(value)) if value is not None else None
    except ValueError:
        return None


def _is_loopback(url: str | None) -> bool:
    return url is not None and urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
