"""Move the vectors of texts in other languages to the mean of the training's: a language is largely a shift of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from flip.errors import InputError, UnavailableError, UsageError

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

    from flip.arrays import Floats32
    from flip.explain.results import Input
    from flip.model.checkpoint import Checkpoint


@dataclass(frozen=True)
class Recentred:
    """How vectors are moved.  shifts: added to each, (n, d).  languages: of the texts; None if nothing is moved."""

    shifts: Floats32
    languages: list[str | None]


class LanguageShifts:
    """Moves vectors by the means that a model brings of several languages.

    The language of a text is the one that the user names, or is identified by py3langid among those of the model.
    """

    def __init__(self, checkpoint: Checkpoint, language: str | None = None) -> None:
        """Keep the means.

        Args:
            checkpoint: its config.json has `languages`, and statistics of the training.
            language: of all texts, such as deu; None identifies that of each.

        Raises:
            UsageError: the model brings no means, or not that of the language.
        """
        stats, means = checkpoint.embedding_stats, checkpoint.config.languages
        if stats is None or not means:
            raise UsageError(
                f"{checkpoint.name} brings no means of languages",
                "e5-en, the bundled model of e5, does; flip store words --recentre takes the mean of the vectors",
            )
        self._by_code = {_two_letters(name): name for name in means}
        self._shifts = {name: np.asarray(stats.mean - mean, np.float32) for name, mean in means.items()}
        self._told = None if language is None else self._by_code.get(_two_letters(language))
        if language is not None and self._told is None:
            raise UsageError(
                f"{checkpoint.name} brings no mean of {language}", f"it has those of {', '.join(sorted(means))}"
            )

    def of(self, inputs: Sequence[Input], dimension: int) -> Recentred:
        """Return the shift of each vector; none for a vector without a text, if no language is told.

        Raises:
            UnavailableError: a language must be identified, and py3langid is not installed.
        """
        languages = [self._told or self._identified(given.words_of) for given in inputs]
        shifts = [np.zeros(dimension, np.float32) if name is None else self._shifts[name] for name in languages]
        return Recentred(np.stack(shifts), languages)

    def _identified(self, text: str | None) -> str | None:
        if not text or not text.strip():
            return None
        code, _ = self._identifier.classify(text)
        return self._by_code[str(code)]

    @cached_property
    def _identifier(self) -> LanguageIdentifier:
        try:
            from py3langid.langid import MODEL_FILE, LanguageIdentifier
        except ImportError as error:
            raise UnavailableError(
                "the language of a text is identified by py3langid, which is not installed",
                "name it: --language deu; or pip install 'flip-interpret[multilingual]'",
            ) from error
        identifier: LanguageIdentifier = LanguageIdentifier.from_model_file(MODEL_FILE)
        known = sorted(set(self._by_code) & set(identifier.nb_classes))
        if not known:
            raise InputError("py3langid knows none of the model's languages", "name it: --language CODE")
        identifier.set_languages(known)
        return identifier


def _two_letters(code: str) -> str:
    """Return a language as ISO 639-1 has it, if it does: `deu`, `deu_Latn` and `de-AT` are `de`; `cmn` is `zh`."""
    import langcodes

    return langcodes.Language.get(langcodes.standardize_tag(code.replace("_", "-"), macro=True)).language or code
