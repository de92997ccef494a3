"""The subject of a metric: one embedding of a dataset, selected and ranked by a model, and the words to be found."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from flip.arrays import Floats
from flip.data.manifest import Dataset, EmbeddingFile, load_manifest
from flip.encoders.identity import made_by, require_dimension, require_same_encoder
from flip.errors import FlipError, InputError
from flip.evaluation.comparison import Comparison
from flip.evaluation.entities import Entities, EntityRow, match_entities
from flip.evaluation.metrics import ContentWords, References, content_words, references
from flip.evaluation.word_ranking import Ranking
from flip.model.checkpoint import Checkpoint
from flip.text.bow import Bags, span_words
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
        return references(self.texts.values(), self.vocabulary, self.options.tokens)

    @cached_property
    def content(self) -> ContentWords:
        """Their content words."""
        return content_words(self.texts.values(), self.vocabulary, self.options.tokens)

    @cached_property
    def spans(self) -> Bags:
        """Their words and pairs of words, see `flip.text.bow.span_words`."""
        return span_words(list(self.texts.values()), self.vocabulary, self.options.tokens)

    @cached_property
    def entities(self) -> Entities:
        """Their names, of the entity file."""
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
    embeddings: Floats
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


def select_embeddings(dataset: Dataset, checkpoints: Sequence[Checkpoint]) -> list[list[EmbeddingFile]]:
    """Return, for each model, the embeddings that it is measured on.

    Those that all models can read are views of the same sentences (speech and text, two languages), and every model is
    measured on each. Otherwise each model has one of its own: that of its encoder, or the only one of its dimension
    that does not say which encoder made it.

    Raises:
        InputError: none belongs to a model, or several may.
    """
    fitting = [[file for file in dataset.embeddings if _fits(file, one)] for one in checkpoints]
    for one, files in zip(checkpoints, fitting, strict=True):
        if not files:
            raise _nothing(dataset, one)
    encoders = {one.trained_on.name for one in checkpoints if one.trained_on.is_known}
    if all(files == fitting[0] for files in fitting) and len(encoders) < 2:
        return fitting
    own = [_own(dataset, files, one) for files, one in zip(fitting, checkpoints, strict=True)]
    for file in own:
        readers = [one for one, other in zip(checkpoints, own, strict=True) if other is file]
        if len({one.trained_on.name for one in readers if one.trained_on.is_known}) > 1:
            raise InputError(
                f"{file.file} does not say which encoder made it, and of {' and '.join(one.name for one in readers)} "
                "only one was trained on its vectors", "add those of the other encoder to the dataset",
            )  # fmt: skip
    return [[file] for file in own]


def _fits(file: EmbeddingFile, checkpoint: Checkpoint) -> bool:
    of_encoder = all(made_by(source.encoder, checkpoint.trained_on) is not False for source in file.sources)
    return of_encoder and file.open().shape[1] == checkpoint.model.dimension


def _own(dataset: Dataset, files: list[EmbeddingFile], checkpoint: Checkpoint) -> EmbeddingFile:
    said = [file for file in files if all(made_by(source.encoder, checkpoint.trained_on) for source in file.sources)]
    found = said or files
    if len(found) > 1:
        names = ", ".join(file.id for file in found)
        raise InputError(
            f"several embeddings of dataset {dataset.name!r} fit {checkpoint.name}: {names}",
            "models of different encoders are compared on one embedding each: name a dataset with one for each",
        )
    return found[0]


def _nothing(dataset: Dataset, checkpoint: Checkpoint) -> InputError:
    """Return an error with the reasons why no embedding belongs to a model."""
    reasons = []
    for file in dataset.embeddings:
        try:
            require_dimension(file.open().shape[1], checkpoint.model.dimension, str(file.file), checkpoint.encoder)
            for source in file.sources:
                require_same_encoder(source.encoder, checkpoint.trained_on, str(file.file))
        except InputError as error:
            reasons.append(error)
    if len(reasons) == 1:
        return reasons[0]
    listed = "; ".join(error.message for error in reasons) or "it has none"
    return InputError(f"no embedding of dataset {dataset.name!r} fits {checkpoint.name}: {listed}")


def train_overlap(texts: Iterable[str], checkpoint: Checkpoint) -> set[str]:
    """Return the sentences that a model was trained on, whatever their capitals and white space.

    The result is empty if its config.json names no data, as that of a bundled model, or the data are gone.
    """
    path, data = Path(checkpoint.name), checkpoint.config.data
    manifest, parts = (path if path.is_dir() else path.parent) / str(data.get("manifest")), data.get("train") or "train"
    asked: dict[str, list[str]] = {}
    for text in texts:
        asked.setdefault(_key(text), []).append(text)
    found: set[str] = set()
    try:
        datasets = load_manifest(manifest) if "manifest" in data and manifest.is_file() else {}
        for part in str(parts).split(","):
            for file in datasets[part].texts if part in datasets else ():
                found.update(key for line in file.read() if (key := _key(line)) in asked)
    except FlipError:
        return set()
    return {text for key in found for text in asked[key]}


def _key(text: str) -> str:
    return " ".join(text.casefold().split())
