"""The subject of a metric: one embedding of a dataset, ranked by a model, and the words that should be found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from flip.evaluation.comparison import Comparison
    from flip.evaluation.content import ContentWords
    from flip.evaluation.entities import Entities, EntityRow
    from flip.evaluation.metrics import References
    from flip.evaluation.word_ranking import Ranking
    from flip.model.checkpoint import Checkpoint
    from flip.text.bow import Bags
    from flip.text.tokenize import TokenSource
    from flip.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class EvaluationOptions:
    """metrics: names of METRICS, or `("all",)`.  topn: N.  tokens: see `flip.evaluation.metrics.references`.

    entities: rows of the entity file.  device: name of a torch device.
    """

    metrics: Sequence[str] = ("accuracy", "pr")
    topn: int = 10
    tokens: TokenSource = "vocabulary"
    entities: Sequence[EntityRow] | None = None
    device: str = "cpu"


@dataclass(frozen=True)
class Sought:
    """Words that should be found in n sentences, each kind made when a metric first needs it.

    texts: line of the file (from 0) -> sentence.
    """

    texts: Mapping[int, str]
    vocabulary: Vocabulary
    options: EvaluationOptions

    @cached_property
    def references(self) -> References:
        """Their words."""
        from flip.evaluation.metrics import references

        return references(self.texts.values(), self.vocabulary, self.options.tokens)

    @cached_property
    def content(self) -> ContentWords:
        """Their content words."""
        from flip.evaluation.content import content_words

        return content_words(self.texts.values(), self.vocabulary, self.options.tokens)

    @cached_property
    def spans(self) -> Bags:
        """Their words and pairs of words, see `flip.text.spans.span_words`."""
        from flip.text.spans import span_words

        return span_words(list(self.texts.values()), self.vocabulary, self.options.tokens)

    @cached_property
    def entities(self) -> Entities:
        """Their names, of the entity file."""
        from flip.evaluation.entities import match_entities

        return match_entities(self.options.entities or (), self.texts, self.vocabulary, self.options.tokens)


@dataclass(frozen=True)
class Subject:
    """One embedding of a dataset, ranked by one model.

    ranking: by side, in words that the references tell apart; as deep as the metrics need.
    shown: the words of `flip explain` in its order, with the log-odds of their probabilities.
    embeddings: (n, d).  comparisons: with other models and embeddings, see `flip.evaluation.comparison`.
    """

    checkpoint: Checkpoint
    options: EvaluationOptions
    sought: Sought
    ranking: Mapping[str, Ranking]
    shown: Ranking
    embeddings: NDArray[np.floating[Any]]
    comparisons: Sequence[Comparison] = ()

    @property
    def size(self) -> int:
        """|V|."""
        return len(self.checkpoint.vocabulary)


@dataclass(frozen=True)
class Setting:
    """Conditions of a metric: the model, the options, and whether there is a second ranking.

    splice: whether SpLiCE ranks the words.
    """

    checkpoint: Checkpoint
    options: EvaluationOptions
    compared: bool
    splice: bool
