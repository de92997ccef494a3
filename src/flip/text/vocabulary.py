"""Build, read and write vocabularies: the words that a model knows, their order, and the tokenizer."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np

from flip.arrays import Ints
from flip.errors import InputError, UsageError
from flip.files import is_stream, read_json, write_json
from flip.locks import held
from flip.text.languages import ENGLISH, scripts, unsegmented
from flip.text.tokenize import LONGEST_NGRAM, SurfaceCounter, Tokenizer, normalize

LONGEST_LINE = 10_000  # characters of a line of --words or --teach
MOST_TAUGHT = 100_000  # words of --teach
_CHUNK = 4096  # sentences counted at a time; memory stays that of the counters


@dataclass(frozen=True)
class Vocabulary:
    """Words in index order, with the tokenizer that finds them in text, and their written forms.

    surfaces: word -> its most frequent form in text, if that differs, see `flip.text.tokenize`.

    Saved as two files: `vocab.json` maps word to index, as published; `vocab.options.json` beside it holds the
    tokenizer's options, the surfaces, and the hash of their words. In a checkpoint folder config.json holds these.
    """

    words: tuple[str, ...]
    tokenizer: Tokenizer = field(default_factory=Tokenizer)
    surfaces: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def index(self) -> dict[str, int]:
        """Word to index."""
        return {word: i for i, word in enumerate(self.words)}

    @cached_property
    def cased(self) -> bool:
        """Whether one of its words has a capital."""
        return any(word != word.lower() for word in self.words)

    @cached_property
    def longest(self) -> int:
        """Number of words of its longest n-gram."""
        return max((word.count(" ") + 1 for word in self.words), default=1)

    @cached_property
    def scripts(self) -> frozenset[str]:
        """The writing systems of its words, see `flip.text.languages`."""
        return frozenset(scripts("".join({*"".join(self.words)})))

    @property
    def unsegmented(self) -> str | None:
        """Advice if its words are clauses, because their script has no spaces; None if they are words."""
        return unsegmented(self.words) if self.tokenizer.name in ("latin", "whitespace") else None

    def surface(self, word: str) -> str:
        """Return the written form of a word; for an n-gram, those of its words."""
        if word in self.surfaces:
            return self.surfaces[word]
        return " ".join(self.surfaces.get(part, part) for part in word.split(" ")) if " " in word else word

    def lookup(self, tokens: Iterable[str]) -> list[int]:
        """Return indices of the tokens that are in the vocabulary, in order, with repetitions."""
        index = self.index
        return [i for token in tokens if (i := index.get(token)) is not None]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the words in their order, one a line."""
        return hashlib.sha256("\n".join(self.words).encode("utf-8", "surrogatepass")).hexdigest()

    @cached_property
    def options(self) -> Mapping[str, object]:
        """Content of the options file."""
        tokenizer = {**self.tokenizer.to_dict(), "ngram": list(self.tokenizer.ngram)}
        return {"tokenizer": tokenizer, "words": self.digest, "surfaces": dict(sorted(self.surfaces.items()))}

    def save(self, path: Path) -> None:
        """Write the options file, then `path`; only `path` if that is a device or a pipe.

        After a kill between the two, `load` reports that the options do not fit; the next call repairs them.
        """
        with held(path):
            if not is_stream(path):
                write_json(options_path(path), self.options)
            write_json(path, self.index)

    @classmethod
    def load(cls, path: Path, tokenizer: Tokenizer | None = None) -> "Vocabulary":
        """Read word -> index in any order.

        Args:
            path: the vocabulary file.
            tokenizer: cuts text; by default the one in the options file beside `path`, else `latin`, which keeps
                capitals if a word has one.

        Raises:
            InputError: the file is missing, its indices are not 0..|V|-1, each once, or its options belong to other
                words.
        """
        index = read_json(path)
        if not isinstance(index, dict) or not index:
            raise InputError(f"{path}: not a vocabulary", "expected a JSON object of word -> index")
        words = [""] * len(index)
        for word, i in index.items():
            if not word.strip():
                raise InputError(f"{path}: a word is empty, or blank", "remove it, and count the others from 0")
            if type(i) is not int or not 0 <= i < len(words) or words[i]:
                raise InputError(f"{path}: {word!r} has index {i}", f"indices must be 0..{len(words) - 1}, each once")
            words[i] = word
        if tokenizer is not None:
            return cls(tuple(words), tokenizer)
        unsaid = cls(tuple(words))
        if unsaid.cased:
            unsaid = replace(unsaid, tokenizer=Tokenizer(lowercase=False))
        options = options_path(path)
        stored = read_json(options) if options.is_file() else {}
        if not isinstance(stored, dict):
            raise InputError(f"{options}: not a JSON object", "`flip vocab` writes it")
        cut = Tokenizer.from_dict(stored["tokenizer"], str(options)) if "tokenizer" in stored else unsaid.tokenizer
        found = cls(tuple(words), cut, read_surfaces(stored.get("surfaces"), str(options)))
        if stored.get("words", found.digest) != found.digest:
            raise InputError(
                f"{path} and {options.name} do not belong together",
                "repeat the `flip vocab` command that was interrupted; or, if you changed the words yourself, "
                f'remove "words" from {options.name}',
            )
        return found


def read_surfaces(stored: object, source: str) -> dict[str, str]:
    """Check stored surfaces, and return them; None is none. `source` names the file in the error.

    Raises:
        InputError: they are not an object of word -> form.
    """
    if stored is None:
        return {}
    if not isinstance(stored, dict) or not all(isinstance(form, str) for form in stored.values()):
        raise InputError(
            f'{source}: "surfaces" is not an object of word -> form', "remove it; the words themselves are shown"
        )
    return stored


def function_words(vocabulary: Vocabulary, language: str | None) -> Ints:
    """Return the indices of a language's function words in a vocabulary, ascending; none without a list."""
    return np.array(sorted(vocabulary.lookup(ENGLISH if language == "english" else ())), np.int64)


def options_path(vocab: Path) -> Path:
    """Return `vocab.options.json` for `vocab.json`."""
    return vocab.with_name(f"{vocab.stem}.options.json")


def build_vocabulary(
    texts: Iterable[str],
    tokenizer: Tokenizer,
    *,
    max_features: int | None = 100_000,
    min_df: int | float = 1,
    max_df: int | float = 1.0,
    words: Iterable[str] | None = None,
    teach: Iterable[str] = (),
) -> Vocabulary:
    """Build a vocabulary, indices in alphabetical order, as scikit-learn's CountVectorizer does.

    Args:
        texts: sentences, read once and not kept: memory grows with the vocabulary only.
        tokenizer: cuts them.
        max_features: keep so many of the most frequent words; among equally frequent ones the alphabetically first.
        min_df, max_df: bounds on the sentences that contain a word: their number (int), or their share (float from 0
            to 1), as in scikit-learn: 1 is one sentence, 1.0 is all of them.
        words: take these lines instead, each as one word or n-gram, in this order, whatever their frequency; the
            tokenizer of the vocabulary then has n-grams as long as the longest line.
        teach: add the words of these lines, cut with the tokenizer, whether they occur or not.

    Raises:
        UsageError: a bound is negative, or a share is above 1.
        InputError: all texts are blank, no word is left, or `teach` is too long, see `taught_words`.
    """
    if words is not None:
        return _of_lines(words, texts, tokenizer, teach)
    min_df, max_df = frequency_bound(min_df), frequency_bound(max_df)
    term_counts: Counter[str] = Counter()
    written = SurfaceCounter()
    sentence_counts: Counter[str] = Counter()
    every = isinstance(max_df, float) and max_df == 1
    by_sentence = not every or min_df > 1 or (isinstance(min_df, float) and min_df > 0)
    unigrams = tokenizer.ngram == (1, 1)
    total = 0
    for chunk in _chunks(texts, _CHUNK):
        total += len(chunk)
        written.add(chunk)
        if unigrams and not by_sentence:
            term_counts.update(tokenizer.unigrams(chunk))
            continue
        for text in chunk:
            tokens = tokenizer(text)
            term_counts.update(tokens)
            if by_sentence:
                sentence_counts.update(set(tokens))
    if not total:
        raise InputError("no text to build a vocabulary from", "the input has no line that is not blank")
    low = min_df if isinstance(min_df, int) else min_df * total
    high = max_df if isinstance(max_df, int) else max_df * total
    kept = [
        (-count, word) for word, count in term_counts.items() if not by_sentence or low <= sentence_counts[word] <= high
    ]
    if not kept:
        raise InputError(
            f"none of {len(term_counts)} words in {total} sentences is left",
            "relax --min-df or --max-df, or choose another --tokenizer",
        )
    if max_features is not None and len(kept) > max_features:
        kept = sorted(kept)[:max_features]
    lines, taught = taught_words(teach, tokenizer)
    written.add(lines)
    chosen = tuple(sorted({word for _, word in kept}.union(taught)))
    return Vocabulary(chosen, tokenizer, written.surfaces(tokenizer, chosen))


def _of_lines(lines: Iterable[str], texts: Iterable[str], tokenizer: Tokenizer, teach: Iterable[str]) -> Vocabulary:
    """Take whole lines in their order, cut by the tokenizer, or only normalised if it finds no word in them."""
    phrases = (" ".join(tokenizer.words(line)) or normalize(line, tokenizer.lowercase) for line in _of_bounded(lines))
    taught_lines, taught = taught_words(teach, tokenizer)
    chosen = tuple(dict.fromkeys([*filter(None, phrases), *taught]))
    if not chosen:
        raise InputError("the list of words has no word", "one a line")
    written = SurfaceCounter()
    for chunk in _chunks(texts, _CHUNK):
        written.add(chunk)
    written.add(taught_lines)
    low, high = tokenizer.ngram
    longest = min(LONGEST_NGRAM, max(word.count(" ") + 1 for word in chosen))
    tokenizer = replace(tokenizer, ngram=(low, max(high, longest)))
    return Vocabulary(chosen, tokenizer, written.surfaces(tokenizer, chosen))


def taught_words(lines: Iterable[str], cut: Callable[[str], Iterable[str]]) -> tuple[list[str], list[str]]:
    """Return the lines of --teach, and their distinct words in order of occurrence.

    Raises:
        InputError: a line has more than 10,000 characters, or there are more than 100,000 words.
    """
    read: list[str] = []
    words: dict[str, None] = {}
    for line in _of_bounded(lines):
        read.append(line)
        words.update(dict.fromkeys(cut(line)))
        if len(words) > MOST_TAUGHT:
            raise InputError(
                f"more than {MOST_TAUGHT:,} words to teach", "teach the words that matter; others come with more text"
            )
    return read, list(words)


def _of_bounded(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines; raise an InputError for one that is too long to be a word or a phrase."""
    for line in lines:
        if len(line) > LONGEST_LINE:
            raise InputError(
                f"a line of a list of words has {len(line):,} characters, more than {LONGEST_LINE:,}: {line[:30]!r}...",
                "write one word or phrase a line",
            )
        yield line


def frequency_bound(value: str | int | float) -> int | float:
    """Read a number of sentences (an integer), or a share of them (written with a point or an exponent).

    >>> frequency_bound("1"), frequency_bound("1.0"), frequency_bound("1e-3")
    (1, 1.0, 0.001)

    Raises:
        UsageError: it is neither, or out of range.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        if isinstance(value, str):
            value = float(value) if set(value) & set(".eE") else int(value)
        if value >= 0 and (not isinstance(value, float) or value <= 1):
            return value
    except (TypeError, ValueError):
        pass
    raise UsageError(
        f"{value!r} is not a bound on a frequency", "2 is a number of sentences, 0.01 a share of them, at most 1.0"
    )


def _chunks(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield lists of up to `size` texts, without blank ones."""
    filled = (text for text in texts if text)
    while chunk := list(islice(filled, size)):
        yield chunk
