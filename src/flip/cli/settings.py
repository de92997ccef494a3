"""Settings of every command: flag > `FLIP_*` environment > `flip.toml` in the working directory > default.

A command's flags that were not given are None and fall through. In `flip.toml` shared settings stand at the top and
each command has a table; in the environment `FLIP_DEVICE=cpu`, `FLIP_TRAIN__RANK=256`.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, PrivateAttr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from flip.cli.trust import require_trust
from flip.encoders.base import DEFAULT_ENCODER, EncoderOptions
from flip.errors import InputError, UsageError
from flip.files import is_stream, without_mark
from flip.text.tokenize import LONGEST_NGRAM, Accents, TokenizerName, TokenSource, is_ngram
from flip.text.vocabulary import frequency_bound
from flip.training.recipes import DevMetric, Init, Precision, Reduction, Schedule, TargetKind

CONFIG_FILE = "flip.toml"


def _frequency_bound(value: Any) -> int | float:
    try:
        return frequency_bound(value)
    except UsageError as error:
        raise ValueError(f"{error.message}: {error.hint}") from error


# PlainValidator, since pydantic would take 1 for 1.0.
FrequencyBound = Annotated[int | float, PlainValidator(_frequency_bound)]
AtLeastOne = Field(default=10, ge=1)


_MOST_CROPS = 1000
_OF_A_UNION = re.compile(r"constrained-|literal\[")  # what pydantic adds to a setting that may be of several kinds
_OUTPUTS = {"output", "details", "plot", "report"}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class VocabSettings(_Section):
    text: list[str] = []
    data: Path | None = None
    dataset: str = "train"
    text_id: str | None = None
    sim_threshold: float | None = None
    output: Path = Path("vocab.json")
    max_features: int = Field(default=100_000, ge=1)
    min_df: FrequencyBound = 1
    max_df: FrequencyBound = 1.0
    ngram: tuple[int, int] = (1, 1)
    tokenizer: TokenizerName = "latin"
    strip_accents: Accents = "none"
    normalize: bool = True
    lowercase: bool = True
    words: Path | None = None
    teach: Path | None = None
    concepts: bool = False
    unigrams: int = Field(default=6500, ge=0)
    bigrams: int = Field(default=3500, ge=0)
    min_count: int = Field(default=20, ge=1)
    min_pmi: float = 1.5
    force: bool = False

    @field_validator("ngram")
    @classmethod
    def _bounded(cls, ngram: tuple[int, int]) -> tuple[int, int]:
        if not is_ngram(ngram):
            raise ValueError(f"needs 1 <= smallest <= largest <= {LONGEST_NGRAM}, not {ngram[0]} {ngram[1]}")
        return ngram


class EmbedSettings(_Section):
    inputs: list[str] = []
    output: Path | None = None  # INPUT.npy where there is one input
    dataset: Path | None = None
    split: str = "0.9,0.05,0.05"
    clips: Path | None = None  # recordings of a Common Voice TSV
    shard: str | None = None
    pair: bool = False
    augment: int = Field(default=0, ge=0, le=_MOST_CROPS)
    teach: Path | None = None
    batch_size: int | None = Field(default=None, ge=1)  # what the encoder likes best
    dtype: Literal["auto", "float32", "float16"] = "auto"  # of the file; auto is float32
    force: bool = False


class TrainSettings(_Section):
    corpus: list[str] = []
    data: Path | None = None
    train: str = "train"
    extra: str | None = None  # learned from too, but not whitened by
    dev: str = "dev"
    dev_data: Path | None = None  # the manifest of dev, where it is another one
    text: str | None = None
    embedding_pair: tuple[str, str] | None = None
    sim_threshold: float | None = None
    vocab: Path | None = None
    output: Path | None = None
    split: str = "0.9,0.05,0.05"
    # 2; none for the recipe of the paper, or with an API's encoder
    augment: int | None = Field(default=None, ge=0, le=_MOST_CROPS)
    teach: Path | None = None  # words to learn beside those of the corpus, one a line
    recipe: Literal["flip", "paper"] = "flip"
    rank: Annotated[int, Field(ge=1)] | Literal["full"] | None = None  # 512, or the dimension where that is less
    alpha: float = Field(default=0.5, ge=0, le=1)
    # None: what the recipe says.
    objective: Literal["bernoulli", "multinomial"] | None = None
    targets: TargetKind | None = None
    inputs: Literal["whitened", "centred", "raw"] | None = None
    init: Init | None = None
    reduction: Reduction | None = None
    schedule: Schedule | None = None
    warm_up: float | None = Field(default=None, ge=0, lt=1)
    shuffle: bool | None = None
    check_every: int | None = Field(default=None, ge=1)
    dev_metric: DevMetric | None = None
    l1: float | None = Field(default=None, ge=0)
    weight_decay: float | None = Field(default=None, ge=0)
    lr: float | None = Field(default=None, gt=0)
    batch_size: int | None = Field(default=None, ge=1)
    epochs: int | None = Field(default=None, ge=1)
    patience: int | None = Field(default=None, ge=1)
    early_stopping: bool | None = None
    precision: Precision | None = None
    calibrate: bool | None = None
    dtype: Literal["float32", "float16", "int8"] = "float32"  # of the saved model
    text_license: str | None = None  # for the model card
    resume: bool = False
    force: bool = False


class EvalSettings(_Section):
    sim_threshold: float | None = None  # 0 where there are sim_scores
    min_tokens: int | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=1)
    train: str | None = None  # of SpLiCE: what [train] names
    dev: str | None = None
    model: str | None = None
    vocab: Path | None = None
    data: Path | None = None
    dataset: str = "test"
    text: str | None = None
    metrics: str = "accuracy,content,pr"
    tokens: TokenSource = "vocabulary"
    topn: int = AtLeastOne
    method: Literal["flip", "splice"] = "flip"
    compare: list[str] = []
    entities: Path | None = None
    details: Path | None = None
    plot: Path | None = None
    report: Path | None = None


class ExplainSettings(_Section):
    model: str | None = None
    vocab: Path | None = None
    topn: int = AtLeastOne
    bias_weight: float | None = None  # None: the checkpoint's own, chosen on dev
    # auto: the checkpoint's threshold; None: auto on a terminal and on a page, 0 in JSON
    min_probability: Annotated[float, Field(ge=0, le=1)] | Literal["auto"] | None = None
    batch_size: int = Field(default=256, ge=1)


class PullSettings(_Section):
    revision: str | None = None
    output: Path | None = None


class Settings(BaseSettings):
    """What a command runs with."""

    model_config = SettingsConfigDict(
        env_prefix="FLIP_", env_nested_delimiter="__", toml_file=CONFIG_FILE, extra="forbid"
    )

    device: str = "auto"
    encoder: str = DEFAULT_ENCODER
    encoder_options: EncoderOptions = EncoderOptions()
    seed: int = 0
    offline: bool = False
    vocab: VocabSettings = VocabSettings()
    embed: EmbedSettings = EmbedSettings()
    train: TrainSettings = TrainSettings()
    eval: EvalSettings = EvalSettings()
    explain: ExplainSettings = ExplainSettings()
    pull: PullSettings = PullSettings()
    # What flip.toml decided of the settings that run code or send sentences away, and whether the user trusts it.
    _brought: dict[str, Any] = PrivateAttr(default_factory=dict)
    _trusted: bool = PrivateAttr(default=False)

    def require_trust(self, encoder: str) -> None:
        """Before an encoder is loaded, see `flip.cli.trust.require_trust`."""
        if not self._trusted:
            require_trust(encoder if self._brought.get("encoder") == encoder else None, self._brought.get("base_url"))

    @property
    def keyless(self) -> bool:
        """Whether the base_url comes from flip.toml: no key is sent there, trusted or not."""
        return "base_url" in self._brought

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """No .env file and no secrets folder."""
        return init_settings, env_settings, _Toml(settings_cls)


class _Toml(TomlConfigSettingsSource):
    def _read_file(self, file_path: Any) -> dict[str, Any]:
        """As its base does it, and with a byte order mark."""
        return tomllib.loads(without_mark(file_path.read_bytes()).decode())


def load_settings(section: str, shared: dict[str, Any], own: dict[str, Any], *, trust: bool = False) -> Settings:
    """Reads all sources for one command.

    Args:
        section: the command's name.
        shared, own: flags by name, None where not given; an empty list counts as not given.
        trust: whether flip.toml may name code to run and servers to send to.

    Raises:
        UsageError: a flag or an environment variable has a value that is not allowed.
        InputError: `flip.toml` is not TOML, or holds an unknown key or a wrong value.
    """

    def given(flags: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in flags.items() if value is not None and value != []}

    flags = given(shared) | {section: given(own)}
    try:
        settings = Settings(**flags)
        settings._brought, settings._trusted = _brought_by_file(settings, flags), trust
        _require_files(section, vars(getattr(settings, section)), flags[section])
        return settings
    except ValidationError as error:
        first = error.errors()[0]
        path = [part for part in map(str, first["loc"]) if not _OF_A_UNION.match(part)]
        name = ".".join(path)
        message = first["msg"].removeprefix("Value error, ")
        near = _near_match(error)
        if _is_flag(path, flags):
            flag = path[-1 if len(path) < 3 else 1].replace("_", "-")
            raise UsageError(f"--{flag}: {message}", near) from error
        raise InputError(
            f"{CONFIG_FILE} or environment, setting {name}: {message}", near or "see `flip --help` for what there is"
        ) from error
    except (ValueError, RecursionError) as error:  # not TOML, brackets too deep, or a variable that is not JSON
        raise InputError(f"{CONFIG_FILE} or environment: {error}") from error


def _require_files(section: str, values: dict[str, Any], flags: dict[str, Any]) -> None:
    """Raises an InputError where an input that was not named on the command line is a device or a pipe.

    Whoever starts flip in a folder has not asked for those, and one such as /dev/zero never ends.
    """
    for name in values.keys() - flags.keys() - _OUTPUTS:
        for item in values[name] if isinstance(values[name], list) else [values[name]]:
            if isinstance(item, str | Path) and is_stream(Path(item)):
                raise InputError(
                    f"{CONFIG_FILE} or environment, setting {section}.{name}: {item} is no regular file",
                    "name it on the command line, if you mean it",
                )


def _brought_by_file(settings: Settings, flags: dict[str, Any]) -> dict[str, Any]:
    """Of encoder and base_url, what neither a flag nor the environment says."""
    file = _Toml(Settings)()
    environment = EnvSettingsSource(Settings)()

    def brought(*path: str) -> bool:
        return not _has(flags, path) and not _has(environment, path) and _has(file, path)

    found: dict[str, Any] = {}
    if brought("encoder"):
        found["encoder"] = settings.encoder
    if brought("encoder_options", "base_url"):
        found["base_url"] = settings.encoder_options.base_url
    return found


def _has(tree: Any, path: tuple[str, ...]) -> bool:
    for part in path:
        if not isinstance(tree, dict) or part not in tree:
            return False
        tree = tree[part]
    return True


def _is_flag(path: list[str], flags: dict[str, Any]) -> bool:
    return _has(flags, tuple(path[:2]))


def _near_match(error: ValidationError) -> str | None:
    """A hint, where one of the first setting's allowed words is nearly what was given."""
    problems = error.errors()
    for problem in problems:
        if problem["type"] == "literal_error" and problem["loc"][:2] == problems[0]["loc"][:2]:
            allowed = re.findall(r"'([^']*)'", problem["ctx"]["expected"])
            if near := difflib.get_close_matches(str(problem["input"]), allowed, n=1):
                return f"did you mean {near[0]!r}?"
            if problem is not problems[0]:
                return f"{problem['ctx']['expected']} is allowed too"
    return None
