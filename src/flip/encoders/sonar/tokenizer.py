"""Tokenize for SONAR: a sentencepiece vocabulary shifted by one, with a token for each language behind it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from flip.encoders.sonar.languages import TEXT
from flip.errors import InputError, UnavailableError

_UNKNOWN, _END = 1, 3  # PAD, UNK, BOS, EOS
_UNKNOWN_THERE = 3  # in tokenizer.json: BOS, PAD, EOS, UNK; all others have the same numbers


def best_first(model: str, fast: str) -> tuple[str, str]:
    """Return the names of a sentencepiece model and of a `tokenizer.json`, the latter first without sentencepiece."""
    return (model, fast) if find_spec("sentencepiece") else (fast, model)


def load_tokenizer(path: Path, languages: Sequence[str] = TEXT) -> SonarTokenizer | FastTokenizer:
    """Load a sentencepiece model, or the `tokenizer.json` that was made from one.

    Raises:
        UnavailableError: a sentencepiece model, and sentencepiece is not installed.
        InputError: it is neither.
    """
    return FastTokenizer(path, languages) if path.suffix == ".json" else SonarTokenizer(path, languages)


class SonarTokenizer:
    """Turns sentences into ids: language, pieces, end."""

    def __init__(self, path: Path, languages: Sequence[str] = TEXT) -> None:
        """Load a sentencepiece model; see `load_tokenizer`."""
        try:
            import sentencepiece
        except ImportError as error:
            raise UnavailableError(f"{path}: needs sentencepiece", "pip install sentencepiece") from error
        try:
            self._pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))
        except (RuntimeError, OSError) as error:
            raise InputError(f"{path}: not a sentencepiece model: {error}", "download it again") from error
        first = self._pieces.get_piece_size() + 1
        self._languages = {language: first + i for i, language in enumerate(languages)}

    def __call__(self, sentences: Sequence[str], language: str) -> list[list[int]]:
        """Return the ids of each sentence, however long."""
        pieces = self._pieces.encode(list(sentences))
        return [[self._languages[language], *(piece + 1 for piece in ids), _END] for ids in pieces]


class FastTokenizer:
    """The same ids from a `tokenizer.json`, which needs no sentencepiece."""

    def __init__(self, path: Path, languages: Sequence[str] = TEXT) -> None:
        """Load a `tokenizer.json`; see `load_tokenizer`."""
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises nothing more precise
            raise InputError(f"{path}: not a tokenizer.json: {error}", "download it again") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True  # "</s>" in a sentence is read as its letters
        found = {language: self._tokenizer.token_to_id(language) for language in languages}
        self._languages = {language: token for language, token in found.items() if token is not None}
        if missing := [language for language in languages if language not in self._languages]:
            raise InputError(
                f"{path}: no token for {len(missing)} languages of SONAR, such as {missing[0]}",
                "take the tokenizer.json of cointegrated/SONAR_200_text_encoder",
            )

    def __call__(self, sentences: Sequence[str], language: str) -> list[list[int]]:
        """Return the ids of each sentence, however long."""
        collapsed = [" ".join(sentence.split()) for sentence in sentences]  # as a sentencepiece model does
        encoded = self._tokenizer.encode_batch(collapsed, add_special_tokens=False)
        pieces = ([_UNKNOWN if token == _UNKNOWN_THERE else token for token in one.ids] for one in encoded)
        return [[self._languages[language], *ids, _END] for ids in pieces]
