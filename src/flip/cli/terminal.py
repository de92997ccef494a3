"""Make text safe for a terminal: escape characters that it would obey or cannot show."""

from __future__ import annotations

import sys
import unicodedata

# Marks and overrides that change the order of the characters around them; joiners (200c, 200d) only change shapes.
_ORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class _Visible(dict[int, str]):
    """Map from a character to its visible form; learned by use."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        hidden = character in _ORDERING or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
        self[code] = _escaped(code) if hidden else character
        return self[code]


def _escaped(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as Python keeps it in arguments and file names
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


_VISIBLE = _Visible()


def visible(text: str) -> str:
    """Return text with its control characters, line ends and bidirectional overrides written out.

    >>> visible("a\\x1b[2Jb")
    'a\\\\x1b[2Jb'
    """
    return text if text.isascii() and text.isprintable() else text.translate(_VISIBLE)


def visible_lines(text: str) -> str:
    """Return a message of several lines with each line made visible."""
    return "\n".join(map(visible, text.split("\n")))


def escape_json(line: str) -> str:
    """Return JSON for a terminal: the same value, with escapes for characters that a terminal would obey."""
    return "".join(c if visible(c) == c else "".join(f"\\u{unit:04x}" for unit in _utf16(c)) for c in line)


def _utf16(character: str) -> list[int]:
    data = character.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]


def show_what_can_be_shown() -> None:
    """Escape characters that the encoding of a stream lacks, such as a Chinese word in ASCII."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")
