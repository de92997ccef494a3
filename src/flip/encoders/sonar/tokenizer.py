"""SONAR's tokens: a sentencepiece vocabulary shifted by one, with a token for each language behind it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flip.encoders.sonar.languages import TEXT
from flip.errors import InputError, UnavailableError

_END = 3  # PAD, UNK, BOS, EOS


class SonarTokenizer:
    """Sentences to ids: language, pieces, end."""

    def __init__(self, path: Path, languages: Sequence[str] = TEXT) -> None:
        """Loads a sentencepiece model.

        Raises:
            UnavailableError: sentencepiece is not installed.
            InputError: the file is no sentencepiece model.
        """
        try:
            import sentencepiece
        except ImportError as error:
            raise UnavailableError("SONAR's tokens need sentencepiece", "pip install sentencepiece") from error
        try:
            self._pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))
        except (RuntimeError, OSError) as error:
            raise InputError(f"{path}: not a sentencepiece model: {error}", "download it again") from error
        first = self._pieces.get_piece_size() + 1
        self._languages = {language: first + i for i, language in enumerate(languages)}

    def __call__(self, sentences: Sequence[str], language: str) -> list[list[int]]:
        """Ids of each sentence, however long."""
        pieces = self._pieces.encode(list(sentences))
        return [[self._languages[language], *(piece + 1 for piece in ids), _END] for ids in pieces]
