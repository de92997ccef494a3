"""Named entities: how many of the names in a sentence its top words recover (Kesiraju et al. 2026, figure 1)."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from flip.arrays import Bools, Floats64, Ints
from flip.errors import InputError
from flip.evaluation import metrics, word_ranking
from flip.evaluation.measurements import Curve, Means, Measurement
from flip.inputs.sources import lines_of
from flip.text.bow import Bags, ReferenceReader, bags_of_indices
from flip.text.tokenize import TokenSource, normalize
from flip.text.vocabulary import Vocabulary

_HINT = 'each line is an object such as {"text": "Ada met Bob.", "entity_names": ["Ada", "Bob"]}'
_NAME = re.compile(r"(?<=[a-z,;] )(?:(?:Mr|Mrs|Ms|Dr|Sir|Lady|Lord)\.? )?(?!I\b)([A-Z]\w+(?: [A-Z]\w+)*)")
_CURVE = 10  # figure 1 shows k = 1..10


@dataclass(frozen=True)
class EntityRow:
    """A line of the entity file. line: the sentence's line, from 1.  names: empty if the sentence has none."""

    where: str
    text: str | None
    line: int | None
    names: tuple[str, ...]


@dataclass(frozen=True)
class Entities:
    """The entities of n sentences, E in all.

    sentence: (E,) which sentence each belongs to.  words: E bags, its in-vocabulary words.
    sizes: (E,) number of its words, out-of-vocabulary ones included.
    again: (E,) whether the same name stands before it in its sentence.
    together, together_sizes: the distinct words of all entities of each of the n sentences.
    unmatched: rows of the file that belong to no sentence.  nameless: rows without a name.  rows: all rows.
    """

    sentence: Ints
    words: Bags
    sizes: Ints
    again: Bools
    together: Bags
    together_sizes: Ints
    unmatched: int
    nameless: int
    rows: int


def names_by_rule(sentences: Iterable[str]) -> list[EntityRow]:
    """Return the names of English sentences that nobody has annotated; a sentence without a name has no row.

    Runs of capitalised words after a small letter or a comma, without titles. That suits no other language, and
    lower-cased text not at all.

    >>> [row.names for row in names_by_rule(["He met Mr. Ada Lovelace, Bob and I.", "No name."])]
    [('Ada Lovelace', 'Bob')]
    """
    found = ((text, _NAME.findall(text)) for text in dict.fromkeys(sentences))
    return [EntityRow("a rule", text, None, tuple(names)) for text, names in found if names]


def read_entities(path: Path) -> list[EntityRow]:
    """Read JSONL of `{"text", "entity_names": [...], "line_number"?}`; a row without `entity_names` has no name.

    Raises:
        InputError: a line is not such an object, with its number; or no line has a name.
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
        names = (fields.get("entity_names") or []) if isinstance(fields, dict) else None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InputError(f'{where}: no list of strings "entity_names"', _HINT)
        text, at = fields.get("text"), fields.get("line_number")
        if not isinstance(text, str | None) or not isinstance(at, int | None) or (text is None and at is None):
            raise InputError(f'{where}: needs "text", or a "line_number" that counts from 1', _HINT)
        rows.append(EntityRow(where, text, at, tuple(names)))
    if not any(row.names for row in rows):
        raise InputError(f"{path}: no entity", _HINT)
    return rows


def match_entities(
    rows: Sequence[EntityRow], sentences: Mapping[int, str], vocabulary: Vocabulary, tokens: TokenSource = "vocabulary"
) -> Entities:
    """Find the sentence of each row: by normalised text, or by line if no sentence has its text.

    Sentences with the same text share their entities.

    Args:
        rows: from `read_entities`.
        sentences: line (from 0) -> text, in the order of the embeddings to be measured.
        tokens: `vocabulary` cuts names with the vocabulary's own tokenizer; repeated names, and repeated rows, count
            once. `published` counts as the published evaluator does: of several rows for a sentence the last holds;
            names are lower-cased and split on white space, punctuation is kept (so "O'Brien" is never found), and a
            repeated name counts again, but is never found again as a whole.

    Raises:
        InputError: no row belongs to a sentence.
    """
    by_text: dict[str, list[int]] = {}
    for position, text in enumerate(sentences.values()):
        by_text.setdefault(normalize(text), []).append(position)
    by_line = {line + 1: position for position, line in enumerate(sentences)}
    of_text: list[list[EntityRow]] = [[] for _ in sentences]
    of_line: list[list[EntityRow]] = [[] for _ in sentences]
    named = [row for row in rows if row.names]
    unmatched = 0
    for row in named:
        owners = by_text.get(normalize(row.text), []) if row.text is not None else []
        for owner in owners:
            of_text[owner].append(row)
        if not owners and row.line in by_line:
            of_line[by_line[row.line]].append(row)
        elif not owners:
            unmatched += 1
    if unmatched == len(named):
        raise InputError(
            f"none of the {unmatched} entity rows belongs to a sentence, the first is {named[0].where}",
            "rows are matched by normalised text, or by line_number (from 1)",
        )
    reader = ReferenceReader.of(vocabulary, tokens)
    names = _published if tokens == "published" else partial(_distinct, reader.words)
    found = [names(first or second) for first, second in zip(of_text, of_line, strict=True)]
    entities = [(owner, words, again) for owner, cut in enumerate(found) for words, again in cut]
    together = [sorted({word for words, _ in cut for word in words}) for cut in found]
    return Entities(
        np.array([owner for owner, _, _ in entities], np.int64),
        bags_of_indices(reader.lookup(words) for _, words, _ in entities),
        np.array([len(words) for _, words, _ in entities], np.int64),
        np.array([again for _, _, again in entities], bool),
        bags_of_indices(reader.lookup(words) for words in together),
        np.array([len(words) for words in together], np.int64),
        unmatched,
        len(rows) - len(named),
        len(rows),
    )


def _distinct(split: Callable[[str], list[str]], rows: Sequence[EntityRow]) -> list[tuple[list[str], bool]]:
    """Return the words of each entity of a sentence, each once, in any order; never the same ones again."""
    found = dict.fromkeys(frozenset(split(name)) for row in rows for name in row.names)
    return [(sorted(words), False) for words in found if words]


def _published(rows: Sequence[EntityRow]) -> list[tuple[list[str], bool]]:
    """Return the words of each entity as the published evaluator cuts them, and whether it stood there before."""
    names = [name.lower() for name in rows[-1].names] if rows else []
    return [(name.split(), name in names[:i]) for i, name in enumerate(names)]


def entity_recall(top: Ints, entities: Entities, vocabulary_size: int) -> tuple[Floats64, Floats64]:
    """Return strict and partial recall at k = 1..K of each of the m sentences with an entity, both (m, K).

    An entity counts strictly if all of its words are among the top k, and partially by the share of its words
    that are; a sentence's recall is the mean over its entities. A word out of the vocabulary is never found.

    Args:
        top: (n, K) from a ranking.
    """
    sentence, sizes = entities.sentence, entities.sizes[:, None]
    found = np.cumsum(metrics.hit_counts(top[sentence], entities.words, vocabulary_size), axis=1)
    count = np.bincount(sentence, minlength=len(top))
    whole, part = np.zeros(top.shape), np.zeros(top.shape)
    np.add.at(whole, sentence, (found == sizes) & ~entities.again[:, None])
    np.add.at(part, sentence, found / np.maximum(sizes, 1))
    kept = count > 0
    return whole[kept] / count[kept, None], part[kept] / count[kept, None]


def entity_metrics(
    ranking: Mapping[str, word_ranking.Ranking], entities: Entities, vocabulary_size: int, *, topn: int = 10
) -> dict[str, dict[str, Measurement]]:
    """Return, by side, the recall (strict, partial), precision and F1 at `topn`; `entity_curve` at 1..max(10, topn).

    Precision is the share of the top k that are words of any entity of the sentence. `entity_f1_strict` and
    `entity_f1_partial` are the harmonic means of it and either recall, sentence by sentence; `entity_f1` takes it
    together with the share of all entity words found: 2 h / (k + m).
    """
    result: dict[str, dict[str, Measurement]] = {}
    for side, ranked in ranking.items():
        named = np.bincount(entities.sentence, minlength=len(ranked.words)) > 0
        depth = min(max(_CURVE, topn), ranked.words.shape[1])
        top = ranked.words[:, :depth]
        strict, partial = entity_recall(top, entities, vocabulary_size)
        shown = (np.arange(1, depth + 1) - np.cumsum(top == word_ranking.REPEATED, axis=1))[named]
        h = np.cumsum(metrics.hits(top, entities.together, vocabulary_size), axis=1)[named]
        precision = h / shown
        values = {
            "entity_recall_strict": strict,
            "entity_recall_partial": partial,
            "entity_precision": precision,
            "entity_f1": 2 * h / (shown + entities.together_sizes[named, None]),
            "entity_f1_strict": _harmonic(precision, strict),
            "entity_f1_partial": _harmonic(precision, partial),
        }
        means = {name: [Means.at(named, at_depth) for at_depth in value.T] for name, value in values.items()}
        for name, by_depth in means.items():
            result.setdefault(name, {})[side] = by_depth[min(topn, depth) - 1]
        curves = {name.removeprefix("entity_"): by_depth for name, by_depth in means.items()}
        result.setdefault("entity_curve", {})[side] = Curve("k", range(1, depth + 1), curves)
    return result


def names_shown(shown: word_ranking.Ranking, entities: Entities, vocabulary_size: int, topn: int) -> Means:
    """Return the strict recall of the words that `flip explain` shows."""
    named = np.bincount(entities.sentence, minlength=len(shown.words)) > 0
    return Means.at(named, entity_recall(shown.words[:, :topn], entities, vocabulary_size)[0][:, -1])


def _harmonic(precision: Floats64, recall: Floats64) -> Floats64:
    """Return the harmonic mean of both, 0 if both are 0."""
    total = precision + recall
    return np.asarray(2 * precision * recall / np.where(total > 0, total, 1))
