"""Names for the topics of BERTopic, from the embeddings of their documents alone."""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from flip.errors import InputError, UnavailableError
from flip.lens import Lens, load, require_matrix
from flip.stores.groups import GroupWords, Label

try:
    from bertopic.representation import BaseRepresentation
except ImportError as error:
    raise UnavailableError("BERTopic is not installed", "pip install 'flip-interpret[bertopic]'") from error

if TYPE_CHECKING:
    import pandas
    from bertopic import BERTopic

    from flip.arrays import Floats32

_LOG = logging.getLogger(__name__)
_ROWS = 1024
_OTHERS = "others"
_HINT = "give the embeddings of all documents, in their order; for partial_fit name the documents: documents=TEXTS"
_NO_WORD = ("", 0.00001)  # as BERTopic fills a topic of few words


class LensRepresentation(BaseRepresentation):  # type: ignore[misc]
    """Name a topic by the words that its embeddings carry more than those of all other documents.

    No text is read: the documents may be in any language that the encoder knows, or recordings. The words are those of
    `flip.stores.groups.GroupWords`: each is said more by an interval that holds for all words and topics together. Its
    weight is its part of the divergence of the topic's words from the rest's, p log(p / q) with p its mean probability
    in the topic and q that in the rest. A topic of fewer than five documents, or of all documents, or without such a
    word has no words.
    """

    def __init__(
        self,
        embeddings: object,
        lens: Lens | None = None,
        top_n_words: int = 10,
        documents: Sequence[str] | None = None,
    ) -> None:
        """Take the embeddings that BERTopic is given, as it does not pass them on.

        Args:
            embeddings: (n, d) those that `fit_transform(documents, embeddings)` gets.
            lens: for embeddings of that encoder; by default the bundled one, for all-MiniLM-L6-v2.
            top_n_words: of a topic.
            documents: n, of the embeddings; `partial_fit` needs them, because its batches are found among them.
        """
        self.embeddings = embeddings
        self.lens = lens
        self.top_n_words = top_n_words
        self.documents = documents
        self._named: str | None = None  # a digest of the documents of the last call

    def extract_topics(
        self,
        topic_model: BERTopic,
        documents: pandas.DataFrame,
        c_tf_idf: object,
        topics: Mapping[str, list[tuple[str, float]]],
    ) -> dict[int, list[tuple[str, float]]]:
        """Return words and weights for each topic, as BERTopic asks for them.

        Args:
            topic_model: knows the number of all documents.
            documents: with the columns Document and Topic; ID, or else the index, is the row of the embedding, unless
                the documents of the embeddings were given.
            c_tf_idf: not used.
            topics: whose keys are all topics.

        Returns:
            topic -> (word, weight), best first, as many for each as `top_n_words`.

        Raises:
            InputError: embeddings of another dimension, NaN, or of other documents.
        """
        lens = self.lens or load()
        u = np.atleast_2d(require_matrix(self.embeddings, lens.checkpoint.model.dimension))
        known = 0 if topic_model.topics_ is None else len(topic_model.topics_)
        # `partial_fit` adds a blank document for each topic that its batch lacks.
        added = (documents["Document"] == " ") & (np.arange(len(documents)) >= known)
        documents = documents[~added]
        rows = self._rows(documents, max(len(documents), known), len(u))
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

    def _rows(self, documents: pandas.DataFrame, known: int, n: int) -> Iterable[int]:
        """Return the rows of the documents among the n embeddings; BERTopic knows so many documents."""
        texts = list(documents["Document"])
        if self.documents is not None:
            return _found(texts, self.documents, n)
        if known != n:
            raise InputError(f"{n} embeddings for {known} documents", _HINT)
        if len(texts) == n:
            named = hashlib.sha256("\0".join(map(str, texts)).encode("utf-8", "surrogatepass")).hexdigest()
            if self._named not in (None, named):
                raise InputError("the embeddings are those of other documents, which were named before", _HINT)
            self._named = named
        return [int(row) for row in documents.get("ID", documents.index)]


def _found(texts: Sequence[str], among: Sequence[str], n: int) -> list[int]:
    """Return the row of each text among the documents of the embeddings; equal texts take turns."""
    if len(among) != n:
        raise InputError(f"{n} embeddings for {len(among)} documents=", "give one embedding for each")
    rows: dict[str, deque[int]] = {}
    for row, text in enumerate(among):
        rows.setdefault(text, deque()).append(row)
    found = []
    for text in texts:
        if text not in rows:
            raise InputError(f"a document is not among those of the embeddings: {str(text)[:60]!r}", _HINT)
        found.append(rows[text][0])
        rows[text].rotate(-1)
    return found


def _words_of(lens: Lens, u: Floats32, labels: list[Label], topn: int) -> dict[Label, list[tuple[str, float]]]:
    """Return the words that tell the rows of u (n, d) of each label from all others."""
    words = GroupWords(lens.checkpoint, topn)
    blocks = [slice(start, start + _ROWS) for start in range(0, len(u), _ROWS)]
    for block in blocks:
        words.count(u[block], labels[block])
    words.choose()
    for block in blocks:
        words.measure(u[block], labels[block])
    return {group.label: [(word.surface, word.gain) for word in group.words] for group in words.result()}
