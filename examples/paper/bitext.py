"""Aligned sentences from translated LibreOffice help pages: paragraphs of the same page and id are translations.

    python bitext.py /usr/share/libreoffice/help de help-de

writes help-de.en and help-de.de, for `flip embed --pair`. The pages come in Debian's
libreoffice-help-en-us, -de, -fr, ...
"""

from __future__ import annotations

import argparse
from html.parser import HTMLParser
from pathlib import Path


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("help", type=Path, help="folder with en-US, de, fr, ...")
    parser.add_argument("language", help="de, fr, ...")
    parser.add_argument("output", help="start of the names of the two files")
    parser.add_argument("--words", type=int, nargs=2, default=(4, 40), help="fewest and most words of a sentence")
    args = parser.parse_args()
    english = args.help / "en-US"
    pairs: dict[str, str] = {}
    for page in sorted(english.rglob("*.html")):
        other = args.help / args.language / page.relative_to(english)
        if other.is_file():
            translated = paragraphs(other)
            for key, text in paragraphs(page).items():
                translation = translated.get(key, "")
                sizes = [len(side.split()) for side in (text, translation)]
                # Equal sides are not translated yet.
                if translation != text and all(args.words[0] <= n <= args.words[1] for n in sizes):
                    pairs.setdefault(text, translation)
    for side, language in enumerate(("en", args.language)):
        lines = "".join(f"{pair[side]}\n" for pair in pairs.items())
        Path(f"{args.output}.{language}").write_text(lines, encoding="utf-8")
    print(f"{len(pairs)} pairs")


if __name__ == "__main__":
    main()
