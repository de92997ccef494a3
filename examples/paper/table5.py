"""Table 5, encoders: table 4 for several encoders of the same sentences.

    python table5.py use/datasets.yaml minilm/datasets.yaml

A manifest for each encoder; a folder name is taken for the encoder's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from runs import arguments, parsed, print_table
from table4 import rows


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("others", type=Path, nargs="*", help="datasets.yaml of other encoders")
    args, options = parsed(parser)
    found = []
    for data in (args.data, *args.others):
        output = args.output / data.resolve().parent.name
        output.mkdir(parents=True, exist_ok=True)
        of_encoder = argparse.Namespace(**{**vars(args), "data": data, "output": output})
        found += [(output.name, *row) for row in rows(of_encoder, options)]
    print_table(("encoder", "words", "embedding", "accuracy", "other", "accuracy"), found)


if __name__ == "__main__":
    main()
