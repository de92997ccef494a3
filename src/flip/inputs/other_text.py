"""Texts that hold no sentences a line: markup, subtitles, annotated words, numbers; known by their first lines."""

from __future__ import annotations

import re
import shlex

from flip.errors import InputError

_PANDOC = "take its text out first: pandoc -t plain --wrap=none {file} | flip ..."
_SUBTITLES = "take what is said out first: sed -E '/-->/d; /^[0-9]*\\r?$/d; /^WEBVTT/d' {file} | flip ..."
_FORMATS: tuple[tuple[bytes, str, str], ...] = (
    (rb"(?i)<!doctype html|<html[\s>]", "HTML", _PANDOC),
    (rb"<\?xml\s", "XML", "take its sentences out first, one a line"),
    (rb"\{\\rtf\d", "RTF", _PANDOC),
    (rb"WEBVTT\b|\d+:\d\d(:\d\d)?[,.]\d{3}\s+-->|\[Script Info\]", "subtitles", _SUBTITLES),
    (
        rb"#\s*(sent_id|text|newdoc id|newpar id|global\.columns)\s*=|\d+(\t[^\t]+){9}$",
        "CoNLL-U, a word a line",
        "take its sentences out first: sed -n 's/^# text = //p' {file} | flip ...",
    ),
)
_MARKUP = re.compile(rb"<(!--|[A-Za-z][\w:.-]*(\s[^<>]*)?/?>)")
_NUMBER = rb"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|nan|-?inf"
# As numpy.savetxt writes rows; with a word before them, as files of word vectors have them.
_NUMBERS = re.compile(rb"(\S+[\s,;])?((" + _NUMBER + rb")[\s,;]+){7,}(" + _NUMBER + rb")")


def require_sentences(line: bytes, after: bytes, name: str) -> None:
    """Raises an InputError where a text is surely something else.

    Args:
        line: the first that is not blank.
        after: the next one where the first is a number, else empty.
        name: of the file.
    """
    for pattern, what, hint in _FORMATS:
        if any(re.match(pattern, one.strip()) for one in (line, after)):
            raise InputError(f"{name}: {what}, no sentences", hint.replace("{file}", _file(name)))
    if b"." in line and _NUMBERS.fullmatch(line.strip()):
        mark = next((shown for mark, shown in ((b",", ","), (b";", ";"), (b"\t", r"\t")) if mark in line), None)
        separator = f', delimiter="{mark}"' if mark else ""
        raise InputError(
            f"{name}: numbers, no sentences",
            f'as vectors, in Python: numpy.save("u.npy", numpy.loadtxt("{name}"{separator}).astype("float32"))',
        )


def looks_like_markup(line: bytes) -> bool:
    """Whether a first line may be markup, though a sentence can begin with a tag too."""
    return _MARKUP.match(line.strip()) is not None


def _file(name: str) -> str:
    return "FILE" if name == "stdin" else shlex.quote(name)
