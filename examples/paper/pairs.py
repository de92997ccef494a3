"""English words of sentence pairs, read from the vectors of either side by one model: as they are, and recentred.

    python pairs.py BITEXT --model paper/e5/de/on-en --encoder e5 -o paper/e5/pairs

BITEXT has tatoeba.X-eng.X and tatoeba.X-eng.eng for each language X. `--recentre` of flip eval moves the vectors of
either side to the mean of the training.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from runs import evaluated, parsed, percent, print_table
from vectors import Vectors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path, help="folder of the pairs")
    parser.add_argument("--model", type=Path, required=True, help="of English words: a run of flip train, or a name")
    parser.add_argument("--encoder", required=True, help="that of the model, as in flip embed")
    parser.add_argument("-o", "--output", type=Path, default=Path("pairs"), help="folder of the vectors")
    args, _ = parsed(parser)
    files = {path.name.split(".")[1].removesuffix("-eng"): path for path in sorted(args.pairs.glob("tatoeba.*.eng"))}
    texts = {code: {"en": path, code: path.with_suffix(f".{code}")} for code, path in files.items()}
    data = Vectors.of(args.encoder, args.output).manifest(args.output / "datasets.yaml", texts)
    rows = []
    for code in texts:
        test = argparse.Namespace(data=data, test=code, text="en")
        row = [code]
        for moved in ((), ("--recentre",)):
            found = evaluated(args.model, test, "--metrics", "accuracy", *moved)
            row += [percent(found[side]["metrics"]["accuracy"]["bias"]) for side in ("en", code)]
        rows.append((*row, percent(found["en"]["metrics"]["known_words"]), str(found["en"]["n"])))
    sides = [f"{side}, {how}" for how in ("as it is", "recentred") for side in ("EN", "XX")]
    print_table(("language", *sides, "words known", "pairs"), rows)


if __name__ == "__main__":
    main()
