"""Share the parts of all API encoders: requests within the limits, retries, keys that are never shown."""

import os
import random
import re
import threading
import tomllib
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit

import numpy as np
import orjson

from flip.arrays import Floats32
from flip.encoders.base import Encoder, EncoderOptions, TextError, prefix_within, read_texts
from flip.errors import FlipError, InputError, UnavailableError, UsageError
from flip.files import os_errors, readable, user_config
from flip.forks import made_in_each_process

TIMEOUT = 60.0  # seconds, of one request
_ATTEMPTS, _ATTEMPTS_BEFORE_AN_ANSWER = 8, 4  # a server that never answered well is more likely a wrong address
_ATTEMPTS_AT_TEXTS = 4  # then halves are sent, to find the text at which the server fails
_ANY_TEXT = "dimension"
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0  # seconds
_LONGEST_ASKED = 120.0  # seconds that a server may ask us to wait; a person should not have to wait longer
_SHOWN = 300  # characters of a server's words
_NO_KEY = "none"
_UNPAID = re.compile("insufficient_quota|billing|credit", re.IGNORECASE)
_BYTES_PER_TOKEN = 4  # of English; other scripts have more tokens


class TryAgainError(Exception):
    """A request failed for a reason that may pass: rate limit, server error, timeout, broken answer.

    after: seconds that the server asked to wait, if it did.
    answered: whether the server spoke the API; if not, it is tried less often.
    by_text: whether one of the texts, or their number, may be the reason.
    """

    def __init__(
        self, reason: str, after: float | None = None, *, answered: bool = True, by_text: bool = False
    ) -> None:
        super().__init__(reason)
        self.after, self.answered, self.by_text = after, answered, by_text


class RefusedError(Exception):
    """A request failed, and would again. unavailable: the key or the model is at fault, not the texts."""

    def __init__(self, reason: str, unavailable: bool) -> None:
        super().__init__(reason)
        self.unavailable = unavailable


def failure(status: int, body: str, after: float | None = None) -> TryAgainError | RefusedError:
    """Return the error for an HTTP status and the body of the answer, in the server's own words.

    >>> str(failure(429, '{"error": {"code": "insufficient_quota", "message": "You have no credit."}}'))
    'HTTP 429: You have no credit.'
    """
    reason = f"HTTP {status}: {said(body)}".removesuffix(": ")
    out_of_money = status == 402 or (status == 429 and _UNPAID.search(body) is not None)
    if out_of_money or status in (401, 403, 404, 405, 501, 505) or "API key" in reason:
        return RefusedError(reason, unavailable=True)
    if status in (408, 409, 425, 429) or status >= 500:
        return TryAgainError(reason, after, by_text=status >= 500 and status != 503 and after is None)
    return RefusedError(reason, unavailable=False)


def said(body: str) -> str:
    """Return the message for a person in the body of an error: OpenAI's form, Google's, FastAPI's, or any text.

    >>> said('{"detail": [{"loc": ["input"], "msg": "too long"}]}')
    'too long'
    """
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
    while isinstance(found, dict | list) and found:
        if isinstance(found, list):
            found = found[0]
            continue
        found = next((found[key] for key in ("error", "message", "detail", "msg", "title") if found.get(key)), None)
        if found is None:
            return body
    return str(found or body)


class _Waiting:
    """State that the threads of one process share. lock: held while the dimension is requested."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.stopped = threading.Event()

    def stop(self) -> None:
        """End the current waits; later ones are not affected."""
        self.stopped.set()
        self.stopped = threading.Event()


class ApiEncoder(Encoder):
    """An encoder behind HTTP. Its subclasses send one request; this does the rest.

    A request holds at most `most_texts` texts and about `most_tokens` tokens. A failure that may pass is tried again
    with growing random waits, or after the wait that the server asks for. If that is more than two minutes, the call
    fails and reports when to come back.
    """

    name: str
    most_texts: int
    most_tokens: int
    keys: tuple[str, ...]  # environment variables; the first that is set counts
    key_name: str  # in keys.toml
    tokens_read: int | None = None  # of a text, by a server that cuts longer ones; None if it refuses them
    estimates_read = True

    def __init__(self, model: str, options: EncoderOptions, *, device: str = "auto", offline: bool = False) -> None:
        """Send no request yet; `device` and precision are up to the server.

        Raises:
            UnavailableError: offline, unless the server is on this machine.
        """
        if offline and not _is_loopback(options.base_url):
            raise UnavailableError(f"{model} is behind an API, and --offline forbids the network")
        if options.concurrency < 1:
            raise UsageError(f"--concurrency must be at least 1, got {options.concurrency}")
        self.model, self.options = model, options
        self.revision = model
        self.device = "api"
        self.concurrency = options.concurrency
        self.batch_size = self.most_texts
        self._dimension = options.dimensions
        self._answered = False
        _ = self._waiting  # one for all threads, so before there are several

    @made_in_each_process
    def _waiting(self) -> _Waiting:
        return _Waiting()

    @property
    def dimension(self) -> int:  # type: ignore[override]
        """Return the requested dimension, or the server's own, for which one word is sent."""
        with self._waiting.lock:
            if self._dimension is None:
                self._dimension = len(self._send([_ANY_TEXT])[0])
        return self._dimension

    def encode(self, batch: Sequence[str | Path]) -> Floats32:
        """Return the embeddings of n sentences: (n, d).

        Raises:
            UnavailableError: no key, refused, out of reach after several attempts, or available only much later.
            TextError: the server does not take one of the sentences, or fails at it.
        """
        texts = [(self.options.prompt or "") + text for text in read_texts(batch, self.name)]
        parts: list[Floats32] = []
        for request in self._requests(texts):
            parts.append(self._send(request, sum(map(len, parts))))
        return np.concatenate(parts)

    def read_to(self, batch: Sequence[str | Path]) -> list[int | None]:
        """Return about how many characters the server reads of each sentence; None if it reads all of it."""
        most, prompt = self.tokens_read, self.options.prompt or ""
        texts = read_texts(batch, self.name)
        return [
            None
            if most is None or _tokens(prompt + text) <= most
            else prefix_within(text, lambda part: _tokens(prompt + part), most)
            for text in texts
        ]

    def stop(self) -> None:
        """End the waits of running calls: they fail at once instead of trying again."""
        self._waiting.stop()

    def plan(self, texts: Sequence[str]) -> tuple[int, int]:
        """Return the number of requests and the approximate number of tokens for these sentences, without a request."""
        prompted = [(self.options.prompt or "") + text for text in texts]
        return sum(1 for _ in self._requests(prompted)), sum(map(_tokens, prompted))

    @abstractmethod
    def request(self, texts: list[str]) -> list[list[float]]:
        """Send one request.

        Raises:
            TryAgainError: the failure may pass.
            RefusedError: the same request would fail again.
        """

    @property
    def key(self) -> str:
        """Return the key from the environment or keys.toml; a server of the user's own may need none.

        Raises:
            UnavailableError: there is none, or it cannot be a key.
        """
        if self.options.keyless:
            return _NO_KEY
        found = [(variable, os.environ.get(variable, "")) for variable in self.keys]
        found.append((f"{self.key_name} in {keys_file()}", _stored_keys().get(self.key_name, "")))
        for place, value in found:
            if key := value.strip():
                if not (key.isascii() and key.isprintable() and " " not in key):
                    raise UnavailableError(
                        f"encoder {self.name}: the key of {place} holds a space, a line break or another character "
                        "that keys do not have", "copy it again",
                    )  # fmt: skip
                return key
        if self.options.base_url:
            return _NO_KEY
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

    def _send(self, texts: list[str], first: int = 0, attempts: int = _ATTEMPTS_AT_TEXTS) -> Floats32:
        """Embed the texts of one request; if the server refuses them together, in halves.

        Args:
            texts: to send.
            first: the index of the first of them in the batch.
            attempts: failures that one of the texts may have caused, before another text is tried.
        """
        try:
            return self._patiently(texts, attempts)
        except RefusedError as error:
            reason = self._shown(error)
            if error.unavailable:
                raise UnavailableError(reason, f"check the key ({self.keys[0]}), the model and --base-url") from None
        if len(texts) == 1:
            raise TextError(
                f"{reason} (asked for one text of {len(texts[0])} characters: {texts[0][:60]!r})",
                "is it longer than the model reads? Change or remove it",
                first,
            )
        # They are too many at a time, or one of them is at fault: try the halves.
        middle = (len(texts) + 1) // 2
        halves = self._send(texts[:middle], first, 1), self._send(texts[middle:], first + middle, 1)
        vectors = np.concatenate(halves)
        self.most_texts = min(self.most_texts, middle)
        return vectors

    def _patiently(self, texts: list[str], attempts_at_texts: int) -> Floats32:
        stopped = self._waiting.stopped
        unique = {text: row for row, text in enumerate(dict.fromkeys(texts))}  # some servers answer equal texts once
        for attempt in range(_ATTEMPTS):
            try:
                vectors = self._checked(self.request(list(unique)), len(unique))
                self._answered = True
                return vectors[[unique[text] for text in texts]]
            except TryAgainError as error:
                if error.by_text and attempt + 1 >= attempts_at_texts and self._answers():
                    raise RefusedError(str(error), unavailable=False) from None
                attempts = _ATTEMPTS if error.answered or self._answered else _ATTEMPTS_BEFORE_AN_ANSWER
                if error.after is not None and error.after > _LONGEST_ASKED:
                    raise UnavailableError(
                        f"{self._shown(error)}; the server asks to come back in {error.after:.0f} seconds",
                        "the answers so far are kept; give the same command again then",
                    ) from None
                if attempt >= attempts - 1 or stopped.wait(_wait(attempt, error.after)):
                    raise UnavailableError(
                        f"{self._shown(error)}, {attempt + 1} times in a row",
                        "the answers so far are kept; give the same command again later",
                    ) from None
            except (RefusedError, FlipError):
                raise
            except Exception as error:  # from any HTTP client that the SDK uses; its message may hold the key
                raise UnavailableError(self._shown(f"{type(error).__name__}: {error}")) from None
        raise AssertionError

    def _checked(self, vectors: list[list[float]], expected: int) -> Floats32:
        reason = None
        if len(vectors) != expected:
            reason = f"gave {len(vectors)} embeddings for {expected} sentences"
        elif not all(vector and any(vector) for vector in vectors):
            reason = "gave an embedding that is empty, null or zero"
        elif len({len(vector) for vector in vectors}) != 1:
            reason = "gave embeddings of different dimensions"
        if reason:
            raise TryAgainError(reason, answered=False, by_text=True)
        if self._dimension is not None and len(vectors[0]) != self._dimension:
            raise RefusedError(
                f"gave {len(vectors[0])} dimensions, not {self._dimension}", unavailable=not self._answered
            )
        return np.array(vectors, np.float32)

    def _answers(self) -> bool:
        """Return whether the server embeds a text that no server fails at."""
        try:
            self._checked(self.request([_ANY_TEXT]), 1)
        except Exception:  # also those of any HTTP client
            return False
        self._answered = True
        return True

    def _shown(self, error: Exception | str) -> str:
        """Return a message for a person: the key is removed first, then it is put on one line, then cut."""
        message, key = str(error), self.key
        if key != _NO_KEY:
            for form in (key, quote(key, safe="")):
                message = message.replace(form, "***")
        message = " ".join("".join(c if c.isprintable() else " " for c in message).split())
        return f"{self.name}: {message[:_SHOWN]}"


def keys_file() -> Path:
    """Return the file that may store keys: `openai = "..."`, `gemini = "..."`."""
    return user_config("keys.toml")


def missing_key(variables: Sequence[str], name: str) -> str | None:
    """Return how to give a key, or None if there is one."""
    if any(os.environ.get(variable, "").strip() for variable in variables) or _stored_keys().get(name):
        return None
    return f"set {variables[0]}"


def _stored_keys() -> dict[str, str]:
    path = keys_file()
    if not readable(path):
        return {}
    with os_errors(path, "read"):
        try:
            keys = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            raise InputError(f"{path}: not valid TOML") from None  # the message of its cause would quote the line
    return {name: key for name, key in keys.items() if isinstance(key, str)}


def _tokens(text: str) -> int:
    return 1 + len(text.encode()) // _BYTES_PER_TOKEN


def _wait(attempt: int, after: float | None) -> float:
    """Return the seconds that the server asks for, else exponential backoff, random to spread concurrent requests."""
    if after is not None:
        return after
    return float(random.uniform(0.5, 1) * min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt))


def retry_after(headers: object) -> float | None:
    """Return the seconds in a Retry-After header; None for a date."""
    get = getattr(headers, "get", None)
    value = get("retry-after") if get else None
    try:
        return max(0.0, float(value)) if value is not None else None
    except ValueError:
        return None


def _is_loopback(url: str | None) -> bool:
    return url is not None and urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
