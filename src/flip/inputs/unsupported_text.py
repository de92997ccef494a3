"""Detect texts without a sentence a line by their first lines: markup, subtitles, annotated words, numbers."""

from __future__ import annotations

import re
import shlex

from flip.errors import InputError

_PANDOC = "take its text out first: pandoc -t plain --wrap=none {file} | flip ..."
_SUBTITLES = "take the spoken lines out first: sed -E '/-->/d; /^[0-9]*\\r?$/d; /^WEBVTT/d' {file} | flip ..."
_FORMATS: tuple[tuple[bytes, str, str], ...] = (
    (rb"(?i)<!doctype html|<html[\s>]", "HTML", _PANDOC),
    (rb"<\?xml\s", "XML", "take its sentences out first, one a line"),
    (rb"\{\\rtf\d", "RTF", _PANDOC),
    (rb"WEBVTT(\s+-.*)?$|[\d:]+[,.]\d{3}\s+-->\s+[\d:]+[,.]\d{3}|\[Script Info\]", "subtitles", _SUBTITLES),
    (
        rb"#\s*(sent_id|newdoc id|newpar id|global\.columns)\s*=|\d+(\t[^\t]+){5}\t(\d+|_)(\t[^\t]+){3}$",
        "CoNLL-U, a word a line",
        "take its sentences out first: sed -n 's/^# text = //p' {file} | flip ...",
    ),
)
_MARKUP = re.compile(
    rb"<(!--|(?i:a|body|br|div|em|h[1-6]|head|i?frame|img|li|p|script|span|strong|t[dr]|table|ul|doc)\b)"
)
_NUMBER = rb"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|nan|-?inf"
# Rows as numpy.savetxt writes them; with a word before them, as in files of word vectors.
_NUMBERS = re.compile(rb"(\S+[\s,;])?((" + _NUMBER + rb")[\s,;]+){7,}(" + _NUMBER + rb")")


def require_sentences(line: bytes, after: bytes, name: str) -> None:
    """Raise an InputError if a text surely holds no sentences.

    Args:
        line: the first that is not blank.
        after: the next one if the first is a number, or a row of them, else empty.
        name: of the file.
    """
    for pattern, what, hint in _FORMATS:
        if any(re.match(pattern, one.strip()) for one in (line, after)):
            raise InputError(f"{name}: {what}, not sentences", hint.replace("{file}", _file(name)))
    if is_numbers(line) and (is_numbers(after) or not after.strip()):
        mark = next((shown for mark, shown in ((b",", ","), (b";", ";"), (b"\t", r"\t")) if mark in line), None)
        separator = f', delimiter="{mark}"' if mark else ""
        raise InputError(
            f"{name}: numbers, not sentences",
            f'as vectors, in Python: numpy.save("u.npy", numpy.loadtxt("{name}"{separator}).astype("float32"))',
        )


def is_numbers(line: bytes) -> bool:
    """Return whether a line is a row of numbers; one that ends with a full stop is a sentence."""
    bare = line.strip()
    return b"." in bare and not bare.endswith(b".") and _NUMBERS.fullmatch(bare) is not None


def looks_like_markup(line: bytes) -> bool:
    """Return whether a first line may be markup, though a sentence can begin with a tag too."""
    return _MARKUP.match(line.strip()) is not None


def _file(name: str) -> str:
    return "FILE" if name == "stdin" else shlex.quote(name)
