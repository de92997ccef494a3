"""Names for the topics of BERTopic, from the embeddings of their documents alone."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas
from bertopic import BERTopic

from flip.errors import InputError, UnavailableError
from flip.lens import Lens, load, require_matrix
from flip.stores.groups import GroupWords, Label

try:
    from bertopic.representation import BaseRepresentation
except ImportError as error:
    raise UnavailableError("BERTopic is not installed", "pip install 'flip-interpret[bertopic]'") from error

_LOG = logging.getLogger(__name__)
_ROWS = 1024
_OTHERS = "others"
_NO_WORD = ("", 0.00001)  # as BERTopic fills a topic of few words


class LensRepresentation(BaseRepresentation):  # type: ignore[misc]
    """Name a topic by the words that its embeddings carry more than those of all other documents.

    No text is read: the documents may be in any language that the encoder knows, or recordings. The words are those of
    `flip.stores.groups.GroupWords`: each is said more by an interval that holds for all words and topics together. Its
    weight is its part of the divergence of the topic's words from the rest's, p log(p / q) with p its mean probability
    in the topic and q that in the rest. A topic of fewer than five documents, or of all documents, or without such a
    word has no words.
    """

    def __init__(self, embeddings: object, lens: Lens | None = None, top_n_words: int = 10) -> None:
        """Take the embeddings that BERTopic is given, as it does not pass them on.

        Args:
            embeddings: (n, d) those that `fit_transform(documents, embeddings)` gets.
            lens: for embeddings of that encoder; by default the bundled one, for all-MiniLM-L6-v2.
            top_n_words: of a topic.
        """
        self.embeddings = embeddings
        self.lens = lens
        self.top_n_words = top_n_words

    def extract_topics(
        self,
        topic_model: BERTopic,
        documents: pandas.DataFrame,
        c_tf_idf: object,
        topics: Mapping[str, list[tuple[str, float]]],
    ) -> dict[int, list[tuple[str, float]]]:
        """Return words and weights for each topic, as BERTopic asks for them.

        Args:
            topic_model: not used.
            documents: with a column Topic; ID, or else the index, is the row of the embedding.
            c_tf_idf: not used.
            topics: whose keys are all topics.

        Returns:
            topic -> (word, weight), best first, as many for each as `top_n_words`.

        Raises:
            InputError: embeddings of another dimension, NaN, or fewer than there are documents.
        """
        lens = self.lens or load()
        u = np.atleast_2d(require_matrix(self.embeddings, lens.checkpoint.model.dimension))
        rows = np.asarray(documents.get("ID", documents.index), np.int64)
        if rows.max() >= len(u):
            raise InputError(f"document {rows.max()} has no embedding: there are {len(u)}", "those of all are needed")
        labels: list[Label] = [_OTHERS] * len(u)  # of a part of the documents, such as a year, the rest are others
        for row, topic in zip(rows, documents["Topic"], strict=True):
            labels[row] = int(topic)
        named = _words_of(lens, u, labels, self.top_n_words) if len(set(labels)) > 1 else {}
        found = {int(topic): named.get(int(topic), []) for topic in topics}
        if unnamed := [topic for topic, best in found.items() if not best]:
            _LOG.warning(
                "topics %s: no word is certainly more frequent there than elsewhere", ", ".join(map(str, unnamed))
            )
        return {topic: best + [_NO_WORD] * (self.top_n_words - len(best)) for topic, best in found.items()}


def _words_of(lens: Lens, u: Any, labels: list[Label], topn: int) -> dict[Any, list[tuple[str, float]]]:
    """Return the words that tell the rows of u (n, d) of each label from all others."""
    words = GroupWords(lens.checkpoint, topn)
    blocks = [slice(start, start + _ROWS) for start in range(0, len(u), _ROWS)]
    for block in blocks:
        words.count(u[block], labels[block])
    words.choose()
    for block in blocks:
        words.measure(u[block], labels[block])
    return {group.label: [(word.surface, word.gain) for word in group.words] for group in words.result()}
