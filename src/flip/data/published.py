"""Read what the published code wrote: its configuration files, and its data, which have no manifest.

Each key maps to a setting of ours, or agrees with `--recipe paper`, or is reported as ignored.

`train_text_embs.npy`, `train_speech_embs.npy`, `train_sim_scores.npy` and `train_transcript.txt` are a dataset.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from flip.data.manifest import MANIFEST, Dataset, EmbeddingFile, SimilarityFile, TextFile, write_manifest
from flip.errors import InputError
from flip.files import read_yaml
from flip.text.tokenize import Tokenizer
from flip.text.vocabulary import Vocabulary, options_path

_SUFFIXES = (".yaml", ".yml")
_TOKENIZERS = {"latin": "latin", "indic": "whitespace"}

_NO = (False, "no", "off")  # the latter are strings to YAML 1.2, as languages need

# Keys that have one setting of ours.
_TRAIN = {
    "data.dev_datasets_yaml": "dev_data",
    "data.train.embedding_pair": "embedding_pair",
    "data.train.sim_threshold": "sim_threshold",
    "data.train.target_text": "text",
    "model.alpha": "alpha",
    "model.rank": "rank",
    "regularization.l1": "l1",
    "regularization.weight_decay": "weight_decay",
    "training.batch_size": "batch_size",
    "training.checkpoint_interval": "check_every",
    "training.iterations": "epochs",
    "training.learning_rate": "lr",
    "training.patience": "patience",
}
# Keys whose usual value agrees with the recipe; any other value is not supported, and reported as ignored.
_RECIPE: Mapping[str, object] = {
    "compute.copy_to_tmp": False,
    "compute.tmp_dir": None,
    "data.train.normalize": None,
    "data.validation.normalize": None,
    "evaluation.topk_factor": 2.0,
    "evaluation.use_bias": False,
    "regularization.l1_method": "proximal",
    "resume.model_checkpoint": None,
    "resume.optimizer_checkpoint": None,
    "training.lr_factor": 0.5,
    "training.stop_criteria": "recall_avg",
}
_VOCAB = {
    "datasets": "dataset",
    "max_df": "max_df",
    "max_features": "max_features",
    "min_df": "min_df",
    "ngram_range": "ngram",
    "sim_threshold": "sim_threshold",
    "text_id": "text_id",
}


Tree: TypeAlias = dict[str, Any]  # of YAML, or of settings

_HEADER = "# Made by `flip pull` of the names of the files, and made again by the next one; not so without this line.\n"
_TEXT, _SPEECH = "text", "speech"


@dataclass(frozen=True)
class PublishedConfig:
    """Our settings, of all commands (shared) and of one (own).  ignored: paths of the keys without effect here."""

    shared: Tree
    own: Tree
    ignored: tuple[str, ...]


def read_train_config(path: Path) -> PublishedConfig:
    """Read `train_lolm.yaml`: the paper's recipe, with its values.

    Raises:
        InputError: not YAML, not such a configuration, or a value has another type.
    """
    tree = _mapping(path)
    for section in ("experiment", "data", "model", "training"):
        if not isinstance(tree.get(section), dict):
            raise InputError(f"{path}: no section {section!r}", "expected a train_lolm.yaml of the published code")
    flat = dict(_flatten(tree))
    given = dict(flat)
    own: Tree = {"recipe": "paper"}
    shared: Tree = {}

    def take(key: str) -> Any:
        return flat.pop(key, None)

    for key, setting in _TRAIN.items():
        if (value := take(key)) is not None:
            own[setting] = value
    older = take("data.datasets_yaml")
    own["data"] = take("data.train_datasets_yaml") or older
    own["train"], own["dev"] = _names(take("data.train.datasets")), _names(take("data.validation.datasets"))
    if vocab := take("data.vocab_yaml"):
        own["vocab"] = vocab
    folder, name = take("experiment.output_dir"), take("experiment.name")
    if folder and name:
        own["output"] = str(Path(str(folder)) / str(name))
    if (seed := take("experiment.seed")) is not None:
        shared["seed"] = seed
    if (kind := take("model.type")) not in ("FactLoLM", "LoLM"):
        raise InputError(f"{path}: model.type is {kind!r}", "FactLoLM or LoLM")
    if kind == "LoLM":
        own["rank"] = "full"
    _weigh_first(path, own)
    if take("training.early_stopping") in _NO:
        own["early_stopping"] = False
    if (half := take("training.half_precision")) is not None:
        own["precision"] = "float32" if half in _NO else "bfloat16"
    for key in ("embedding_pair", "target_text", "sim_threshold"):
        # One selection serves both parts.
        if given.get(f"data.validation.{key}") == given.get(f"data.train.{key}"):
            take(f"data.validation.{key}")
    ignored = [key for key, value in flat.items() if key not in _RECIPE or value != _RECIPE[key]]
    return PublishedConfig(shared, {k: v for k, v in own.items() if v is not None}, tuple(sorted(ignored)))


def read_vocab_config(path: Path) -> PublishedConfig:
    """Read `vocab_en.yaml`.

    Raises:
        InputError: not YAML, or not such a configuration.
    """
    tree = _mapping(path)
    if not {"token_pattern", "ngram_range"} & tree.keys():
        raise InputError(
            f"{path}: no token_pattern and no ngram_range", "expected a vocab_en.yaml of the published code"
        )
    tokenizer = _tokenizer(path, tree)
    own: Tree = {setting: tree.pop(key) for key, setting in _VOCAB.items() if tree.get(key) is not None}
    own |= {"tokenizer": tokenizer.name, "strip_accents": tokenizer.strip_accents, "lowercase": tokenizer.lowercase}
    if isinstance(own.get("dataset"), list):
        own["dataset"] = _names(own["dataset"])
    if not own.get("sim_threshold"):
        own.pop("sim_threshold", None)  # the published script filters only above zero
    if own.get("max_features") == -1:
        own["max_features"] = sys.maxsize
    if (folder := tree.pop("output_dir", None)) and "name" in tree:
        own["output"] = str(Path(str(folder)) / str(tree.pop("name")) / "vocab.json")
    known = {"token_pattern", "strip_accents", "lowercase"}
    return PublishedConfig({}, own, tuple(sorted(map(str, tree.keys() - known))))


def load_vocabulary(path: Path) -> Vocabulary:
    """Load a vocabulary by its file, or by the `vocab_config.yaml` that the published code writes beside it.

    The vocabulary of a `vocab_config.yaml` is `vocab.json`, or the only `vocab_*.json`, of its folder. The tokenizer
    comes from `vocab.options.json` there, or else from the configuration.

    Raises:
        InputError: the folder holds no vocabulary, or several.
    """
    if path.suffix not in _SUFFIXES:
        return Vocabulary.load(path)
    found = [path.parent / "vocab.json"] if (path.parent / "vocab.json").is_file() else []
    found = found or [one for one in sorted(path.parent.glob("vocab_*.json")) if not one.name.endswith(".options.json")]
    if len(found) != 1:
        raise InputError(
            f"{path.parent}: {len(found) or 'no'} vocabularies beside {path.name}",
            "name the file: --vocab vocab.json; `flip vocab` makes one (the published cvect.pkl is a pickle, not read)",
        )
    if options_path(found[0]).is_file() or not path.is_file():
        return Vocabulary.load(found[0])
    return Vocabulary.load(found[0], _tokenizer(path, _mapping(path)))


def _weigh_first(path: Path, own: Tree) -> None:
    """Convert alpha: the published one weights the target text's own embedding, ours the first of the pair."""
    pair, target = own.get("embedding_pair"), own.get("text")
    if not isinstance(pair, list) or len(pair) != 2 or target not in pair:
        raise InputError(f"{path}: data.train.target_text {target!r} is not one of embedding_pair {pair!r}")
    if target == pair[1] and "alpha" in own:
        try:
            own["alpha"] = 1 - float(own["alpha"])
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}: model.alpha is {own['alpha']!r}", "a number from 0 to 1") from error


def _tokenizer(path: Path, tree: Tree) -> Tokenizer:
    pattern = tree.get("token_pattern", "latin")
    if not isinstance(pattern, str) or pattern not in _TOKENIZERS:
        raise InputError(f"{path}: token_pattern is {pattern!r}", f"one of {', '.join(_TOKENIZERS)}")
    options = {
        "name": _TOKENIZERS[pattern],
        "strip_accents": tree.get("strip_accents") or "none",
        "ngram": tree.get("ngram_range") or (1, 1),
        "lowercase": tree.get("lowercase", True) not in _NO,
    }
    return Tokenizer.from_dict(options, str(path))


def _mapping(path: Path) -> Tree:
    tree = read_yaml(path)
    if not isinstance(tree, dict):
        raise InputError(f"{path}: not a configuration", "expected a train_lolm.yaml or vocab_en.yaml")
    return tree


def _flatten(tree: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _names(datasets: Any) -> str | None:
    return ",".join(map(str, datasets)) if isinstance(datasets, list) else datasets


def describe_published(folder: Path, language: str | None = None) -> dict[str, Dataset]:
    """Return the datasets of a folder by name: `train`, or `FOLDER_train` if several of its folders have one.

    Args:
        folder: with the files, at any depth.
        language: of files in no folder that is named by a language; None is unknown.
    """
    parts: dict[str, list[Path]] = defaultdict(list)
    for text in sorted(folder.rglob("*_transcript.txt")):
        parts[text.name.removesuffix("_transcript.txt")].append(text.parent)
    found = {}
    for part, places in parts.items():
        for place in places:
            name = part if len(places) == 1 else "_".join([*place.relative_to(folder).parts, part])
            if dataset := _dataset(name, place, part, _named(place.relative_to(folder)) or language):
                found[name] = dataset
    return found


def complete_manifest(folder: Path, pulled: Sequence[str], language: str | None = None) -> dict[str, Dataset]:
    """Write `datasets.yaml` into a folder of such files, unless one came with them or the user has written one.

    Args:
        folder, language: as for `describe_published`.
        pulled: names of the downloaded files.

    Returns:
        The datasets that it names; none if nothing was written.
    """
    path = folder / MANIFEST
    if any(PurePosixPath(name).name == MANIFEST for name in pulled):
        return {}
    if path.exists() and not path.read_text(encoding="utf-8").startswith(_HEADER):
        return {}
    datasets = describe_published(folder, language)
    if datasets:
        write_manifest(path, datasets, header=_HEADER)
    return datasets


def _dataset(name: str, place: Path, part: str, language: str | None) -> Dataset | None:
    """Return a dataset, or None if no embeddings lie beside the transcript."""
    ending = f"_{language}" if language else ""
    embeddings = tuple(
        EmbeddingFile(f"{kind}{ending}", path, kind, language)
        for kind in (_TEXT, _SPEECH)
        if (path := place / f"{part}_{kind}_embs.npy").is_file()
    )
    scores = place / f"{part}_sim_scores.npy"
    pair = tuple(file.id for file in embeddings)
    similar = (SimilarityFile(scores, pair),) if len(pair) == 2 and scores.is_file() else ()
    text = TextFile(f"{_TEXT}{ending}", place / f"{part}_transcript.txt", language)
    return Dataset(name, embeddings, (text,), similar) if embeddings else None


def _named(place: Path) -> str | None:
    """Return the language that names one of the folders, two letters, or None."""
    return next((name for name in place.parts if len(name) == 2 and name.isalpha()), None)
