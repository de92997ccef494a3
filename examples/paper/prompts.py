"""Recordings and their transcripts from Debian's asterisk-core-sounds-en and asterisk-core-sounds-en-wav.

    python prompts.py /usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz SOUNDS clips.tsv

SOUNDS is /usr/share/asterisk/sounds/en_US_f_Allison; clips.tsv is what speech.py reads.
"""

from __future__ import annotations

import argparse
import gzip
import re
from pathlib import Path

_NOT_SPOKEN = re.compile(r"\(.*?\)|\[.*?\]|<.*?>")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("transcripts", type=Path)
    parser.add_argument("sounds", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--words", type=int, default=4, help="fewest words of a sentence")
    args = parser.parse_args()
    clips: dict[str, Path] = {}
    for line in gzip.decompress(args.transcripts.read_bytes()).decode().splitlines():
        name, _, text = line.partition(":")
        text = " ".join(_NOT_SPOKEN.sub("", text).split())
        recording = args.sounds / f"{name}.wav"
        if len(text.split()) >= args.words and recording.is_file():
            clips.setdefault(text, recording.absolute())
    args.output.write_text("".join(f"{path}\t{text}\n" for text, path in clips.items()), encoding="utf-8")
    print(f"{len(clips)} recordings")


if __name__ == "__main__":
    main()
