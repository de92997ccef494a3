"""The datasets and the vocabulary that `flip train` and `flip compare` learn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from flip.cli.embed_dataset import progress_of_parts

if TYPE_CHECKING:
    from flip.cli.call import Call
    from flip.data.corpora import Part
    from flip.encoders.base import Encoder
    from flip.text.tokenize import TokenizerName
    from flip.text.vocabulary import Vocabulary
    from flip.training.datasets import TrainingDatasets
    from flip.training.recipes import Recipe


@dataclass(frozen=True)
class Corpus:
    """Sentences to learn from, and how.

    inputs: as the user named them.  split, augment, teach, vocab, tokenizer: options of `flip train`.
    batch_size: sentences embedded at a time; None is what the encoder likes best.
    """

    inputs: list[str]
    split: str
    augment: int | None = None
    teach: Path | None = None
    vocab: Path | None = None
    tokenizer: TokenizerName | None = None
    batch_size: int | None = None

    def crops(self, encoder: Encoder, recipe: Recipe) -> int:
        """Return how many crops of each sentence are learned from: as the user asks, else what an encoder can afford.

        Nobody should pay for five times the corpus without having asked for it.
        """
        if self.augment is not None:
            return self.augment
        return 0 if recipe == "paper" or encoder.device == "api" else 2

    def read(self, crops: int, call: Call) -> dict[str, Part]:
        """Return the split corpus, with `augmented` made of its training sentences if there are crops."""
        from flip.data.corpora import augmented, read_plain
        from flip.errors import UsageError
        from flip.inputs.records import read_taught
        from flip.training.datasets import AUGMENTED

        parts = read_plain(self.inputs, self.split, call.runtime.seed, call.out.note)
        teach = read_taught(self.teach)
        if teach and not crops:
            raise UsageError("--teach makes sentences to learn from, which --augment 0 leaves out", "add --augment 2")
        if crops:
            parts[AUGMENTED] = augmented(parts["train"], crops, call.runtime.seed, teach)
        return parts

    def word_chooser(self, call: Call, tokenizer: TokenizerName | None = None) -> Callable[[list[str]], Vocabulary]:
        """Return a function from training sentences to a vocabulary: the one of --vocab, or as [vocab] is set.

        `tokenizer` overrides the one of the user.
        """
        from flip.data.published_configs import load_vocabulary
        from flip.inputs.records import read_taught, read_texts
        from flip.text.tokenize import Tokenizer
        from flip.text.vocabulary import build_vocabulary

        v = call.params_of("vocab")
        name = tokenizer or self.tokenizer or v["tokenizer"]

        def choose_words(sentences: list[str]) -> Vocabulary:
            if self.vocab:
                return load_vocabulary(self.vocab)
            return build_vocabulary(
                sentences,
                Tokenizer(name, v["strip_accents"], v["ngram"], v["normalize"], v["lowercase"]),
                max_features=v["max_features"],
                min_df=v["min_df"],
                max_df=v["max_df"],
                words=read_texts([v["words"]]) if v["words"] else None,
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
    ) -> TrainingDatasets:
        """Embed the parts into a folder, with a bar."""
        from flip.embedding.corpus import require_elsewhere
        from flip.training.datasets import of_corpus

        require_elsewhere([self.teach] if self.teach else [], folder, parts)
        with progress_of_parts(parts, False, call.out) as on_rows:
            return of_corpus(
                parts, folder, encoder, choose_words, sources=self.inputs, split=self.split,
                batch_size=self.batch_size, on_rows=on_rows,
            )  # fmt: skip

    def with_vectors(self, vectors: Path, folder: Path, call: Call) -> TrainingDatasets:
        """Return the datasets of sentences whose embeddings are given, row i of sentence i."""
        from flip.errors import UsageError
        from flip.inputs.records import read_records
        from flip.training.datasets import of_vectors

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


def note_blank_lines(parts: dict[str, Part], call: Call) -> None:
    """Report how many lines of the corpus were left out."""
    if blank := sum(part.dropped for part in parts.values()):
        call.out.note(f"{blank} blank lines dropped")
