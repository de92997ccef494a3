"""Aligned sentences from translated LibreOffice help pages: paragraphs of the same page and id are translations.

    python bitext.py /usr/share/libreoffice/help de help-de

writes help-de.en and help-de.de, for `flip embed --pair`. The pages come in Debian's
libreoffice-help-en-us, -de, -fr, ...

    python bitext.py /usr/share/libreoffice/help de es ru zh-CN help --parts 5000 500 800

writes help/train.en, help/train.de and so on, dev and test: as many random paragraphs, which all the languages have,
so that English is the same for each of them. No page is in two parts.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path

from flip.text.languages import unspaced_language
from flip.text.segment import unicode_words

Row = tuple[str, ...]  # a paragraph in English, then in each other language


class Paragraphs(HTMLParser):
    """Text of each <p id="par_...">, by id."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}
        self._id: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "p":
            self._id = dict(attrs).get("id")

    def handle_endtag(self, tag: str) -> None:
        if tag == "p":
            self._id = None

    def handle_data(self, data: str) -> None:
        if self._id and self._id.startswith("par_"):
            self.texts[self._id] = self.texts.get(self._id, "") + data


def paragraphs(page: Path) -> dict[str, str]:
    parser = Paragraphs()
    parser.feed(page.read_text(encoding="utf-8"))
    return {key: " ".join(text.split()) for key, text in parser.texts.items()}


def pages(folder: Path, languages: Sequence[str]) -> Iterator[list[Row]]:
    """Yield the paragraphs of each page that all languages have; a translation may be empty."""
    english = folder / "en-US"
    for page in sorted(english.rglob("*.html")):
        files = [folder / language / page.relative_to(english) for language in languages]
        if all(file.is_file() for file in files):
            own, *others = map(paragraphs, (page, *files))
            yield [(text, *(other.get(key, "") for other in others)) for key, text in own.items()]


def number_of_words(text: str) -> int:
    return len(unicode_words().findall(text) if unspaced_language([text]) else text.split())


def aligned(folder: Path, languages: Sequence[str], fewest: int, most: int) -> Iterator[list[Row]]:
    """Yield the rows of each page with so many words in each language, no English text twice."""
    seen = set()
    for rows in pages(folder, languages):
        found = {}
        for text, *translations in rows:
            if text in seen or text in translations:  # equal sides are not translated yet
                continue
            if all(fewest <= number_of_words(side) <= most for side in (text, *translations)):
                found.setdefault(text, (text, *translations))
        seen.update(found)
        yield list(found.values())


def filled(found: list[list[Row]], sizes: Sequence[int]) -> list[list[Row]]:
    """Return parts of these sizes, each of whole pages but for the last, whose other rows are left out."""
    rng = random.Random(0)
    shuffled, parts = iter(rng.sample(found, len(found))), []
    for size in sizes:
        part: list[Row] = []
        while len(part) < size:
            page = next(shuffled, None)
            if page is None:
                have = sum(map(len, found))
                sys.exit(f"error: --parts needs {sum(sizes)} rows, and there are {have}\nhint:  ask for fewer")
            part += page
        parts.append(rng.sample(part[:size], size))
    return parts


def write(rows: list[Row], languages: Sequence[str], start: str) -> None:
    for side, language in enumerate(("en", *languages)):
        lines = "".join(f"{row[side]}\n" for row in rows)
        Path(f"{start}.{language}").write_text(lines, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("help", type=Path, help="folder with en-US, de, fr, ...")
    parser.add_argument("languages", nargs="+", help="de, fr, ...")
    parser.add_argument("output", help="start of the names of the files; with --parts their folder")
    parser.add_argument("--words", type=int, nargs=2, default=(4, 40), help="fewest and most words of a sentence")
    parser.add_argument("--parts", type=int, nargs=3, metavar=("TRAIN", "DEV", "TEST"), help="rows of each part")
    args = parser.parse_args()
    found = list(aligned(args.help, args.languages, *args.words))
    if args.parts:
        Path(args.output).mkdir(parents=True, exist_ok=True)
        for name, part in zip(("train", "dev", "test"), filled(found, args.parts), strict=True):
            write(part, args.languages, f"{args.output}/{name}")
    else:
        write([row for page in found for row in page], args.languages, args.output)
    print(f"{sum(map(len, found))} pairs")


if __name__ == "__main__":
    main()
