"""The corpora of commands: embedded into a folder, or learned from, with their vocabulary."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

import typer

from flip.cli import loading, output
from flip.cli.call import Call
from flip.data.corpora import Part, augmented, of_strings, read_aligned, read_plain, read_release, with_strings
from flip.data.manifest import MANIFEST, Dataset
from flip.data.published import load_vocabulary
from flip.embedding.corpus import prepare_corpus, require_elsewhere
from flip.embedding.job import chunked
from flip.embedding.journal import Shard
from flip.encoders.base import Encoder, EncoderOptions, encode
from flip.errors import InputError, UsageError
from flip.inputs.record import Record
from flip.inputs.records import read_lines, read_records, read_taught, read_texts
from flip.inputs.sources import holds_embeddings, is_store, require_one_stdin
from flip.inputs.stores.columns import ColumnChoice
from flip.text.languages import unspaced_language
from flip.text.strings import Chain, Language, generate, language_of, own_words
from flip.text.tokenize import Tokenizer, TokenizerName
from flip.text.vocabulary import Vocabulary, build_vocabulary
from flip.training.datasets import AUGMENTED, TrainingDatasets, of_corpus, of_vectors
from flip.training.recipes import Recipe

STRINGS, STRINGS_OF_AN_API = 60_000, 5_000  # generated without a corpus
_TIMED = 256  # texts that tell how long all of them take


@dataclass(frozen=True)
class Request:
    """What `flip embed` is asked for; the fields are its options.

    languages: of each input, or the one of all of them; "" if none is named.
    """

    inputs: list[str]
    languages: list[str]
    clips: Path | None = None
    pair: bool = False
    text_column: str | None = None
    batch_size: int | None = None
    dtype: Literal["float32", "float16"] = "float32"
    shard: str | None = None
    force: bool = False
    chunk: int | None = None

    def read(self, call: Call, inputs: list[str] | None = None, noted: bool = True) -> Iterator[Record]:
        """Return the records of the inputs, or of some of them; cut into parts, if that is asked for.

        noted: whether there are notes on them; not if they are read again.

        Raises:
            InputError: one cannot be read, or is a store whose texts no --text-column names.
        """
        names = self.inputs if inputs is None else inputs
        records = chain.from_iterable(self._records_of(name, call, noted) for name in names)
        if self.chunk is None:
            return records
        i = self.inputs.index(names[0]) if len(self.languages) > 1 else 0
        return chunked(records, self.chunk, self.languages[i])

    def _records_of(self, name: str, call: Call, noted: bool) -> Iterator[Record]:
        require_text(name, self.text_column)
        asked = None if self.text_column is None else ColumnChoice(texts=self.text_column)
        yield from read_records(name, self.clips, call.out.note if noted else None, asked, aligned=self.pair)


def require_text(name: str, text_column: str | None) -> None:
    """Raise an InputError if an input is a store of vectors, and no column of texts is named."""
    if text_column is None and is_store(name) and not holds_embeddings(name):
        raise InputError(
            f"{name}: a store of vectors", "--text-column NAME embeds its texts; flip store --help lists what reads it"
        )


def plan_requests(texts: Iterable[str | None], name: str, model: Encoder, out: output.Output) -> None:
    """Show what an API would be asked for these texts, called `name`."""
    sentences = [text for text in texts if text]
    plan = model.plan(sentences)
    if plan is None:
        raise UsageError(f"--dry-run: {model.name} is not an API and costs nothing", "leave it out")
    requests, tokens = plan
    fields = {"input": name, "sentences": len(sentences), "requests": requests, "tokens": tokens}
    out.result(fields, f"{name}: {len(sentences)} sentences in {requests} requests, about {tokens} tokens")


@contextmanager
def progress_of_parts(
    parts: dict[str, Part], pair: bool, out: output.Output
) -> Iterator[Callable[[str, int, int], None]]:
    """Yield update(name, done, total) for `prepare_corpus`: one bar for all."""
    rows = {
        part: len(next(iter(content.texts.values())))
        * (len(content.texts) * (pair or not content.recordings) + bool(content.recordings))
        for part, content in parts.items()
    }
    made = rows.get("augmented", 0)
    if made:
        out.status(
            f"{sum(rows.values()) - made:,} sentences, and {made:,} crops and words; --augment 0 leaves these out"
        )
    seen: dict[str, int] = {}
    with out.progress(f"embedding {sum(rows.values()):,} {'texts' if made else 'sentences'}") as on_rows:

        def update(name: str, done: int, total: int) -> None:
            seen[name] = done
            on_rows(sum(seen.values()), sum(rows.values()))

        yield update


def embed_dataset(request: Request, folder: Path, encoder: str, options: EncoderOptions, call: Call) -> None:
    """Read the corpus, embed its parts, and report what was written."""
    import numpy as np

    own, out, languages = call.ctx.params, call.out, request.languages
    _require_one_dataset(request, folder, call)
    parts = _read(request, call)
    texts = list(parts["train"].texts)
    if len(languages) > 1 and len(languages) != len(texts):
        raise UsageError(f"--language names {len(languages)} languages for {len(texts)} texts: {', '.join(texts)}")
    model = loading.load_encoder(encoder, call, options=options)
    if own["dry_run"]:
        for name, part in parts.items():
            for text, sentences in part.texts.items():
                plan_requests(sentences, f"{name} {text}", model, out)
        return
    with progress_of_parts(parts, request.pair, out) as on_rows:
        datasets = prepare_corpus(
            parts,
            folder,
            model,
            sources=[*request.inputs, *([own["teach"]] if own["teach"] else [])],
            pair=request.pair,
            transcriber=lambda: loading.load_transcriber(call),
            batch_size=request.batch_size,
            languages=dict(zip(texts, languages, strict=True)) if len(languages) > 1 else None,
            dtype=np.float16 if request.dtype == "float16" else np.float32,
            force=request.force,
            on_rows=on_rows,
        )
    if dropped := sum(part.dropped for part in parts.values()):
        out.note(f"{dropped} rows with a blank line dropped")
    rows = {part: len(data.embeddings[0].open()) for part, data in datasets.items()}
    failed = _report(datasets, model.name, out)
    fields = {
        "manifest": str(folder / MANIFEST),
        "rows": rows,
        "texts": texts,
        "embeddings": [embedding.id for embedding in datasets["train"].embeddings],
        "failed": failed,
        "encoder": model.name,
    }
    counts = ", ".join(f"{part} {count}" for part, count in rows.items())
    out.result(fields, f"{folder / MANIFEST}: {counts} rows, {model.name}")
    if failed:
        raise typer.Exit(3)


def _report(datasets: dict[str, Dataset], encoder: str, out: output.Output) -> int:
    """Report what was cut and what has no row; return the number of the latter."""
    for data in datasets.values():
        for embedding in data.embeddings:
            if cut := embedding.source.truncated:
                out.note(f"{embedding.file}: {cut} sentences were longer than {encoder} reads, and were cut")
        for embedding in data.embeddings:
            if lost := embedding.source.warnings:
                out.note(f"{embedding.file}: {len(lost)} recordings were decoded only in part: {'; '.join(lost[:3])}")
    failed = [item for data in datasets.values() for item in data.embeddings[-1].source.failed]
    if failed:
        shown = "; ".join(item.error for item in failed[:3])
        output.fail(
            f"{len(failed)} recordings have no row: {shown}", "all are listed in the .json beside the embeddings"
        )
    return len(failed)


def _require_one_dataset(request: Request, folder: Path, call: Call) -> None:
    """Require one process, one place for the output, and a folder that has no dataset yet."""
    own = call.ctx.params
    if Shard.parse(request.shard):
        raise UsageError(
            "--dataset is made by one process, not by several with --shard or torchrun",
            "embed the inputs in parts with -o instead, or give --dataset without them",
        )
    if own["output"] is not None:
        raise UsageError("-o and --dataset exclude each other", "--dataset DIR names all files")
    if (folder / MANIFEST).exists() and not request.force and not own["dry_run"]:
        raise InputError(f"{folder / MANIFEST} exists", "--force replaces the dataset; what has not changed is kept")


def _read(request: Request, call: Call) -> dict[str, Part]:
    """Read the parts of the corpus, and with --augment the sentences that are made from its first part."""
    own = call.ctx.params
    parts = _read_corpus(request, own["split"], call)
    if own["augment"]:
        parts["augmented"] = augmented(parts["train"], own["augment"], call.runtime.seed, read_taught(own["teach"]))
    elif own["teach"]:
        raise UsageError("--teach makes sentences to learn from", "add --augment 2")
    return parts


def _read_corpus(request: Request, split: str, call: Call) -> dict[str, Part]:
    own, seed = request, call.runtime.seed
    require_one_stdin(own.inputs)
    folders = [name for name in own.inputs if Path(name).is_dir()]
    if not own.inputs:
        raise UsageError("no corpus", "name a release folder, text files, or with --pair two aligned files")
    if folders and (len(own.inputs) > 1 or (own.pair and not own.clips)):
        hint = "a release folder is the only input; with --clips, --pair embeds its sentences and its recordings"
        raise UsageError(f"{folders[0]} is a folder", hint)
    if own.clips and not folders:
        raise UsageError("--clips with --dataset needs a release folder", "one with train.tsv, dev.tsv and test.tsv")
    if folders:
        return read_release(Path(folders[0]), own.clips)
    if own.pair:
        return read_aligned(own.inputs, split, seed, call.out.note)
    for name in own.inputs:
        require_text(name, own.text_column)
    return read_plain(own.inputs, split, seed, call.out.note, own.text_column)


@dataclass(frozen=True)
class Corpus:
    """Sentences to learn from, and how.

    inputs: as the user named them; none if all strings are generated.
    split, augment, teach, vocab, tokenizer, strings, words, dev, passages: options of `flip train`.
    batch_size: sentences embedded at a time; None is what the encoder likes best.
    """

    inputs: list[str]
    split: str
    augment: int | None = None
    teach: Path | None = None
    vocab: Path | None = None
    tokenizer: TokenizerName | None = None
    batch_size: int | None = None
    strings: int | None = None
    words: Path | None = None
    dev: Path | None = None
    passages: int = 0

    def crops(self, encoder: Encoder, recipe: Recipe) -> int:
        """Return how many crops of each sentence are learned from: as the user asks, else what an encoder can afford.

        Nobody should pay for five times the corpus without having asked for it.
        """
        if self.augment is not None:
            return self.augment
        return 0 if recipe == "paper" or encoder.device == "api" else 2

    def generated(self, encoder: Encoder) -> int:
        """Return how many strings are generated: as the user asks, else without a corpus what an encoder can afford."""
        if self.strings is not None:
            return self.strings
        return 0 if self.inputs and not self.words else STRINGS_OF_AN_API if encoder.device == "api" else STRINGS

    def language(self, call: Call) -> Language:
        """Return the language of the strings: --words, --language, or English."""
        if self.words:
            return own_words(list(read_texts([self.words])), str(self.words))
        return language_of(call.encoder_options.language or "eng")

    def read(self, crops: int, strings: int, call: Call) -> dict[str, Part]:
        """Return the split corpus and the generated strings, with `augmented` made of both if there are crops."""
        seed = call.runtime.seed
        if not self.inputs:
            real = list(read_lines(self.dev)) if self.dev else []
            parts = of_strings(self.language(call), strings, seed, real)
        else:
            parts = read_plain(self.inputs, self.split, seed, call.out.note, passages=self.passages)
            if strings:
                parts = with_strings(parts, generate(self.language(call), strings, seed))
        teach = read_taught(self.teach)
        if teach and not crops:
            raise UsageError("--teach makes sentences to learn from, which --augment 0 leaves out", "add --augment 2")
        if crops:
            parts[AUGMENTED] = augmented(parts["train"], crops, seed, teach)
        return parts

    def word_chooser(self, call: Call) -> Callable[[list[str]], Vocabulary]:
        """Return a function from training sentences to a vocabulary: the one of --vocab, or as [vocab] is set."""
        v = call.params_of("vocab")
        language = None if self.inputs else self.language(call)
        own = list(language.words) if language and self.words else None
        spaced: TokenizerName = "latin" if isinstance(language, Chain | None) else "unicode"  # latin is for English

        def choose_words(sentences: list[str]) -> Vocabulary:
            if self.vocab:
                return load_vocabulary(self.vocab)
            name = self.tokenizer or v["tokenizer"] or unspaced_language(sentences) or spaced
            return build_vocabulary(
                sentences,
                Tokenizer(name, v["strip_accents"], v["ngram"], v["normalize"], v["lowercase"]),
                max_features=v["max_features"],
                min_df=v["min_df"],
                max_df=v["max_df"],
                words=own or (read_texts([v["words"]]) if v["words"] else None),
                teach=read_taught(self.teach),
            )

        return choose_words

    def embedded(
        self,
        parts: dict[str, Part],
        folder: Path,
        encoder: Encoder,
        choose_words: Callable[[list[str]], Vocabulary],
        call: Call,
        strings: int = 0,
    ) -> TrainingDatasets:
        """Embed the parts into a folder, with a bar; so many strings are among them."""
        of = {"words": self.words.name} if self.words else {"language": call.encoder_options.language or "eng"}
        about = {"strings": strings, **of} if strings else {}
        require_elsewhere([self.teach] if self.teach else [], folder, parts)
        with progress_of_parts(parts, False, call.out) as on_rows:
            return of_corpus(
                parts, folder, encoder, choose_words, sources=self.inputs, split=self.split if self.inputs else "",
                about=about, batch_size=self.batch_size, on_rows=on_rows,
            )  # fmt: skip

    def with_vectors(self, vectors: Path, folder: Path, call: Call) -> TrainingDatasets:
        """Return the datasets of sentences whose embeddings are given, row i of sentence i."""
        if given := [name for name in ("augment", "teach") if getattr(self, name)]:
            raise UsageError(f"--{given[0]} makes sentences that would have to be embedded", "leave --embeddings out")
        if call.given("encoder"):
            raise UsageError("--encoder embeds, and --embeddings are there", "leave one of them out")
        records = (read_records(name, on_note=call.out.note, aligned=True) for name in self.inputs)
        sentences = [record.text or "" for record in chain.from_iterable(records)]
        datasets, left_out = of_vectors(
            vectors, sentences, folder, self.word_chooser(call), sources=self.inputs, split=self.split,
            seed=call.runtime.seed,
        )  # fmt: skip
        if left_out:
            call.out.note(f"{left_out} rows left out, which are blank or hold NaN")
        if not datasets.encoder.is_known:
            call.out.note(f"the encoder of {vectors} is unknown; the model takes vectors only")
        return datasets


def announce(parts: dict[str, Part], encoder: Encoder, call: Call) -> None:
    """Tell how many texts will be embedded, and what that takes: seconds, or for an API requests and tokens."""
    import time

    texts = {name: next(iter(part.texts.values())) for name, part in parts.items()}
    every = [text for part in texts.values() for text in part]
    made = len(texts.get(AUGMENTED, ()))
    plan = encoder.plan(every)
    if plan is not None:
        cost = f"{plan[0]:,} requests, about {plan[1]:,} tokens"
    else:
        step = max(1, len(every) // _TIMED)
        started = time.perf_counter()
        encode(encoder, every[::step][:_TIMED])
        seconds = (time.perf_counter() - started) * len(every) / min(_TIMED, len(every))
        cost = f"about {seconds / 60:.0f} min" if seconds > 90 else f"about {seconds:.0f} s"
    more = f", {made:,} of them crops and words" if made else ""
    call.out.note(f"{len(every):,} texts to embed with {encoder.name}{more}: {cost}")


def note_blank_lines(parts: dict[str, Part], call: Call) -> None:
    """Report how many lines of the corpus were left out."""
    if blank := sum(part.dropped for part in parts.values()):
        call.out.note(f"{blank} blank lines dropped")
