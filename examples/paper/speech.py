"""Two views of the same sentences for table 2: transcripts, and what speech recognition hears in the recordings.

    python speech.py clips.tsv spoken

clips.tsv has lines of `recording<TAB>transcript`. Writes spoken/test.{text,speech}.{txt,npy} with the encoder minilm,
which reads text: its speech path is a cascade. An encoder that reads speech needs no such detour.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from runs import flip

from flip.encoders.cascade import Transcriber


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("output", type=Path)
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    rows = [line.split("\t") for line in args.clips.read_text(encoding="utf-8").splitlines() if line]
    transcriber = Transcriber(language="eng_Latn")
    heard = [transcriber.transcribe(args.clips.parent / path).text for path, _ in rows]
    for name, lines in (("text", [text for _, text in rows]), ("speech", heard)):
        path = args.output / f"test.{name}.txt"
        path.write_text("".join(f"{line or '(nothing)'}\n" for line in lines), encoding="utf-8")
        flip("embed", path, "-o", path.with_suffix(".npy"), "-q", "--force")


if __name__ == "__main__":
    main()
