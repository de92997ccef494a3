"""Named entities: how many of the names in a sentence its top words recover (Kesiraju et al. 2026, figure 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flip.errors import InputError
from flip.evaluation.metrics import Estimate, hits, precision_recall
from flip.inputs.sources import lines_of
from flip.text.bags import Bags, bags_of_indices
from flip.text.tokenize import normalize, published_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from flip.evaluation.metrics import Ranking
    from flip.text.tokenize import TokenSource
    from flip.text.vocabulary import Vocabulary

_HINT = 'each line is an object such as {"text": "Ada met Bob.", "entity_names": ["Ada", "Bob"]}'
_CURVE = 10  # figure 1 shows k = 1..10


@dataclass(frozen=True)
class EntityRow:
    """A line of the entity file. line: the sentence's line, from 1, where the row has no text."""

    where: str
    text: str | None
    line: int | None
    names: tuple[str, ...]


@dataclass(frozen=True)
class Entities:
    """The distinct entities of n sentences, E in all.

    sentence: (E,) which sentence each belongs to.  words: E bags, its distinct in-vocabulary words.
    sizes: (E,) number of its distinct words, out-of-vocabulary ones included; never 0.
    together, together_sizes: the same for the words of all entities of each of the n sentences.
    unmatched: rows of the file that belong to no sentence.  rows: all rows.
    """

    sentence: NDArray[np.int64]
    words: Bags
    sizes: NDArray[np.int64]
    together: Bags
    together_sizes: NDArray[np.int64]
    unmatched: int
    rows: int


def read_entities(path: Path) -> list[EntityRow]:
    """Reads JSONL of `{"text", "entity_names": [...], "line_number"?}`.

    Raises:
        InputError: a line is not such an object, with its number.
    """
    import orjson

    rows = []
    for where, line in lines_of(path):
        if not line.strip():
            continue
        try:
            fields = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise InputError(f"{where}: not valid JSON: {error}", _HINT) from error
        names = fields.get("entity_names") if isinstance(fields, dict) else None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InputError(f'{where}: no list of strings "entity_names"', _HINT)
        text, at = fields.get("text"), fields.get("line_number")
        if not isinstance(text, str | None) or not isinstance(at, int | None) or (text is None and at is None):
            raise InputError(f'{where}: needs "text", or a "line_number" that counts from 1', _HINT)
        rows.append(EntityRow(where, text, at, tuple(names)))
    if not rows:
        raise InputError(f"{path}: no entity", _HINT)
    return rows


def match_entities(
    rows: Sequence[EntityRow], sentences: Mapping[int, str], vocabulary: Vocabulary, tokens: TokenSource = "vocabulary"
) -> Entities:
    """Finds the sentences that the rows belong to: by normalised text, or by line where a row has no text.

    Sentences with the same text share their entities. Repeated entities, and repeated rows, count once.

    Args:
        rows: from `read_entities`.
        sentences: line (from 0) -> text, in the order of the embeddings to be measured.
        tokens: how names are cut into words, as for `flip.evaluation.metrics.references`.

    Raises:
        InputError: no row belongs to a sentence.
    """
    split = published_tokens if tokens == "published" else vocabulary.tokenizer.words
    by_text: dict[str, list[int]] = {}
    for position, text in enumerate(sentences.values()):
        by_text.setdefault(normalize(text), []).append(position)
    by_line = {line: position for position, line in enumerate(sentences)}
    found: list[dict[frozenset[str], None]] = [{} for _ in sentences]
    unmatched = 0
    for row in rows:
        if row.text is not None:
            owners = by_text.get(normalize(row.text), [])
        else:
            owners = [by_line[row.line - 1]] if row.line is not None and row.line - 1 in by_line else []
        unmatched += not owners
        for owner in owners:
            found[owner].update((words, None) for name in row.names if (words := frozenset(split(name))))
    if unmatched == len(rows):
        raise InputError(
            f"none of the {unmatched} entity rows belongs to a sentence, the first is {rows[0].where}",
            "rows are matched by normalised text, or by line_number (from 1) where they have no text",
        )
    entities = [(owner, words) for owner, names in enumerate(found) for words in names]
    together = [frozenset[str]().union(*names) for names in found]
    return Entities(
        np.array([owner for owner, _ in entities], np.int64),
        bags_of_indices(vocabulary.lookup(words) for _, words in entities),
        np.array([len(words) for _, words in entities], np.int64),
        bags_of_indices(vocabulary.lookup(words) for words in together),
        np.array([len(words) for words in together], np.int64),
        unmatched,
        len(rows),
    )


def entity_recall(
    top: NDArray[np.int64], entities: Entities, vocabulary_size: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Strict and partial recall at k = 1..K of each of the m sentences with an entity, both (m, K).

    An entity counts strictly where all of its words are among the top k, and partially by the share of its words
    that are; a sentence's recall is the mean over its distinct entities. A word that the vocabulary does not have is
    never found.

    Args:
        top: (n, K) from a ranking.
    """
    sentence = entities.sentence
    found = np.cumsum(hits(top[sentence], entities.words, vocabulary_size), axis=1)
    count = np.bincount(sentence, minlength=len(top))
    strict, partial = np.zeros(top.shape), np.zeros(top.shape)
    np.add.at(strict, sentence, found == entities.sizes[:, None])
    np.add.at(partial, sentence, found / entities.sizes[:, None])
    kept = count > 0
    return strict[kept] / count[kept, None], partial[kept] / count[kept, None]


def entity_metrics(
    ranking: Mapping[str, Ranking], entities: Entities, vocabulary_size: int, *, topn: int = 10
) -> dict[str, Any]:
    """Entity recall (strict, partial), precision and F1 at `topn` by side; `entity_curve` over k = 1..max(10, topn).

    Precision is the share of the top k that are words of any entity of the sentence; F1 takes it together with the
    share of all entity words found: 2 h / (k + m).
    """
    result: dict[str, dict[str, Any]] = {}
    for side, ranked in ranking.items():
        depth = min(max(_CURVE, topn), ranked.words.shape[1])
        strict, partial = entity_recall(ranked.words[:, :depth], entities, vocabulary_size)
        hit = hits(ranked.words, entities.together, vocabulary_size)
        points = [precision_recall(hit, entities.together_sizes, k) for k in range(1, depth + 1)]
        curves = {
            "entity_recall_strict": list(strict.T),
            "entity_recall_partial": list(partial.T),
            "entity_precision": [point.precision for point in points],
            "entity_f1": [point.f1 for point in points],
        }
        estimates = {name: [Estimate.of(values) for values in curve] for name, curve in curves.items()}
        for name, curve in estimates.items():
            result.setdefault(name, {})[side] = curve[min(topn, depth) - 1].to_dict()
        means = {name.removeprefix("entity_"): [e.mean for e in curve] for name, curve in estimates.items()}
        result.setdefault("entity_curve", {})[side] = {"k": list(range(1, depth + 1))} | means
    return result
