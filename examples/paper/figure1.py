"""Figure 1: entity recall (strict and partial) at k = 1..10, with b and without.

    python figure1.py datasets.yaml --entities entities.jsonl --plot figure1.svg

Without --entities nothing is annotated: runs of capitalised words after a small letter or a comma, without titles, are
taken for names. That suits English only, and lower-cased text not at all.
"""

from __future__ import annotations

import json
from pathlib import Path

from runs import arguments, evaluated, parsed, percent, print_table, trained, vocabulary

from flip import load_dataset
from flip.evaluation.entities import names_by_rule


def write_names(sentences: list[str], path: Path) -> None:
    rows = [{"text": row.text, "entity_names": row.names} for row in names_by_rule(sentences)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    print(f"{len(rows)} of {len(sentences)} sentences have a name\n")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--entities", type=Path)
    parser.add_argument("--plot", default="figure1.svg")
    args, options = parsed(parser)
    entities = args.entities or args.output / "names.jsonl"
    if not args.entities:
        write_names(load_dataset(args.data, args.test).sentences(args.text), entities)
    run = trained(args.output / f"rank-{args.rank}", args, vocabulary(args), "--rank", args.rank, *options)
    rows = []
    asked = ("--metrics", "entities", "--entities", entities, "--plot", args.plot)
    for name, result in evaluated(run, args, *asked).items():
        for kind in ("strict", "partial"):
            recall = result["metrics"][f"entity_recall_{kind}"]
            rows.append((name, kind, percent(recall["bias"]), percent(recall["no_bias"])))
    print_table(("embedding", "recall at 10", "with b", "without b"), rows)


if __name__ == "__main__":
    main()
