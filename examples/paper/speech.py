"""Two views of the same sentences for table 2: transcripts, and what speech recognition hears in the recordings.

    python speech.py clips.tsv spoken

clips.tsv has lines of `recording<TAB>transcript`. Writes spoken.text and spoken.speech, for `flip embed --pair`: an
encoder that reads only text takes speech through a cascade. One that reads speech needs no such detour.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from flip.encoders.multimodal import Transcriber


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("output", help="start of the names of the two files")
    args = parser.parse_args()
    rows = [line.split("\t") for line in args.clips.read_text(encoding="utf-8").splitlines() if line]
    transcriber = Transcriber(language="eng_Latn")
    heard = [transcriber.transcribe(args.clips.parent / path).text for path, _ in rows]
    for name, lines in (("text", [text for _, text in rows]), ("speech", heard)):
        written = "".join(f"{line or '(nothing)'}\n" for line in lines)
        Path(f"{args.output}.{name}").write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main()
