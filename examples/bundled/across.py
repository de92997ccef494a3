"""Measures what makes e5-en read English words from the vectors of other languages, on a fifth of the pairs.

    python across.py TEXTS BITEXT --work e5-en.work --dictionaries /usr/share/dictd

The words of the English side of each pair are read from the vector of the other side: as it is; moved by the mean of
strings of words, by that of sentences; and moved by that of sentences for models that learned more than English texts:
the English sides of the pairs, words of dictionaries with their translations (Debian's dict-freedict-deu-eng, -fra-eng,
-spa-eng, -ita-eng, -tur-eng, dict-freedict-eng-hin), the pairs of other languages, the pairs of all. Content words in
the top ten, with standard errors. The last column is of the model of all pairs, without moving.
"""

from __future__ import annotations

import argparse
import gzip
import re
from pathlib import Path

import numpy as np
from e5 import LANGUAGES, Material, material
from make import View, embedded_in, finish, measured

from flip.model.checkpoint import Checkpoint

ENTRIES = 4_000  # of a dictionary at the most
HALVES = (("deu", "hin", "cmn"), ("fra", "spa", "ita", "tur"))
_ENTRY = re.compile(r"^(\w+) /[^/\n]+/[^\n]*\n(?:1\. )?([^\n]+)$", re.MULTILINE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("texts", type=Path, help="folder with the text files")
    parser.add_argument("bitext", type=Path, help="folder with the pairs")
    parser.add_argument("--work", type=Path, default=Path("e5-en.work"))
    parser.add_argument("--dictionaries", type=Path, help="folder with the files of freedict")
    args = parser.parse_args()
    found = material(args.texts, args.bitext, args.work)

    def model(name: str, more: list[View]) -> Checkpoint:
        learned, bags = found.learned(more)
        return finish(args.work / name, learned, found.dev_with_passages, bags, {})

    english = model("alone", [])
    kinds = {"English sides": [(one.english_u[rows], one.texts(rows)) for one in found.pairs.values()
                               for rows in [one.rows(learned=True)]]}  # fmt: skip
    if args.dictionaries:
        kinds["dictionaries"] = [
            words(code, found, args.dictionaries, args.work) for code in LANGUAGES if code != "cmn"
        ]
    kinds["all pairs"] = found.of_pairs(LANGUAGES)
    models = {name: model(name.replace(" ", "-"), more) for name, more in kinds.items()}
    halves = [model(f"without-{half[0]}", found.of_pairs(set(LANGUAGES) - {*half})) for half in HALVES]
    print(
        "| language | as it is | mean of strings | mean of sentences | ",
        " | ".join([*models, "others' pairs", "all pairs, as it is"]),
        "|",
    )
    print("|" + " --- |" * (6 + len(models)))
    for code, own in found.pairs.items():
        rows = own.rows(learned=False)
        to_mean = found.means["eng"] - found.means[code]
        tries = [(english, 0.0), (english, found.means["eng"] - found.near[code]), (english, to_mean)]
        tries += [(one, to_mean) for one in models.values()]
        tries.append((next(one for one, half in zip(halves, HALVES, strict=True) if code in half), to_mean))
        tries.append((models["all pairs"], 0.0))
        cells = []
        for checkpoint, shift in tries:
            recall = measured(checkpoint, "pairs", own.u[rows] + shift, own.texts(rows))["content_recall"]
            cells.append(f"{recall['mean']:.3f} ± {recall['se']:.3f}")
        print(f"| {code} | {' | '.join(cells)} |", flush=True)


def words(code: str, found: Material, folder: Path, work: Path) -> View:
    """Words of a language, moved to the English mean, and their translations, as far as the vocabulary has them."""
    names = [f"freedict-{code}-eng.dict.dz", f"freedict-eng-{code}.dict.dz"]
    path = next(folder / name for name in names if (folder / name).is_file())
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
        entries = _ENTRY.findall(file.read())
    if path.name == names[1]:
        entries = [(other.split(",")[0].strip(), english) for english, other in entries]
    known = [
        (word, english)
        for word, english in entries
        if set(found.vocabulary.tokenizer(english)) & found.vocabulary.index.keys()
    ]
    chosen = [known[i] for i in np.random.default_rng(0).permutation(len(known))[:ENTRIES]]
    u, _ = embedded_in(work, found.encoder, f"words.{code}", [word for word, _ in chosen])
    return np.asarray(u[:]) + found.means["eng"] - found.means[code], [english for _, english in chosen]


if __name__ == "__main__":
    main()
