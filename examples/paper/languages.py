"""Tables 3 to 5 for many languages: each beside English, all on translations of the same sentences.

    python languages.py help --encoder e5 -- --no-scale-bias --no-calibrate --epochs 3

`help` is a folder of `bitext.py --parts`. The figures of a language are in paper/e5/LANGUAGE.json, for
language_tables.py. What is embedded, trained and measured is kept in paper/e5, so that an interrupted run continues.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from runs import Estimate, TwoViews, agreement, details, estimate_of, once, parsed
from table4 import words_of_each
from vectors import Texts, Vectors

from flip import load_dataset
from flip.evaluation import measurements
from flip.files import safe_name

PARTS = ("train", "dev", "test")


@dataclass(frozen=True)
class Figures:
    """A language beside English, by one encoder.

    sentences: trained on.  table3: English words, by the language that the model was trained on.
    table4: models that were trained on both, by the language of the words.
    english_bias: accuracy of English words less that of its own words, read from the language's vectors.
    """

    encoder: str
    language: str
    sentences: int
    table3: Mapping[str, TwoViews]
    table4: Mapping[str, TwoViews]
    english_bias: Estimate

    @classmethod
    def read(cls, path: Path) -> Figures:
        found = json.loads(path.read_text())
        for table in ("table3", "table4"):
            found[table] = {name: TwoViews(**one) for name, one in found[table].items()}
        return cls(**found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="folder with train.en, train.de, ..., dev.en, ..., test.en, ...")
    parser.add_argument("--encoder", required=True, help="as in flip embed")
    parser.add_argument("--name", help="of the encoder in the tables; default: what follows its last colon")
    parser.add_argument("--languages", nargs="+", help="default: all of the corpus")
    parser.add_argument("-o", "--output", type=Path, default=Path("paper"), help="folder of the runs")
    parser.add_argument("--rank", default="512")
    args, options = parsed(parser)
    args.name = args.name or args.encoder.rpartition(":")[2]
    folder = args.output / safe_name(args.name)
    vectors = Vectors.of(args.encoder, folder / "embedded")
    known = {file.name.removeprefix("test.") for file in args.corpus.glob("test.*")}
    for language in args.languages or sorted(known - {"en"}):
        texts = {part: {side: args.corpus / f"{part}.{side}" for side in ("en", language)} for part in PARTS}
        files = [file for by_side in texts.values() for file in by_side.values()]
        if missing := [str(file) for file in files if not file.is_file()]:
            sys.exit(f"error: there is no {', '.join(missing)}\nhint:  bitext.py writes them with --parts")
        path = folder / f"{language}.json"
        call = ("languages", *files, args.name, args.encoder, args.rank, *options)
        print(once(path, call, partial(write_figures, path, texts, vectors, args, options)))


def write_figures(path: Path, texts: Texts, vectors: Vectors, args: argparse.Namespace, options: list[str]) -> None:
    language, output = path.stem, path.with_suffix("")
    output.mkdir(exist_ok=True)
    data = vectors.manifest(output / "datasets.yaml", texts)
    sides = argparse.Namespace(
        data=data, output=output, train="train", dev="dev", test="test", text="en", vocab=None, rank=args.rank
    )
    found = Figures(
        args.name,
        language,
        len(load_dataset(data, "train").sentences("en")),
        agreement(sides, options),
        words_of_each(sides, options),
        english_bias(output, language),
    )
    path.write_text(json.dumps(asdict(found), indent=1))


def english_bias(runs: Path, language: str) -> Estimate:
    """Measured sentence by sentence, on those that have known words in both languages."""
    english, own = (accuracies(details(runs / f"words-{words}"), language) for words in ("en", language))
    gaps = [one - other for one, other in zip(english, own, strict=True) if one is not None and other is not None]
    return estimate_of(measurements.Estimate.of(np.array(gaps)).to_dict())


def accuracies(path: Path, embedding: str) -> list[float | None]:
    """Accuracy with b of each sentence; None if none of its words is known."""
    records = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [record["bias"]["accuracy"] for record in records if record["embedding"] == embedding]


if __name__ == "__main__":
    main()
