"""Map language codes of text and speech encoders, of Common Voice and of the hub to whisper's."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from flip.errors import UsageError

_WHISPERS_OWN = {"jv": "jw", "nb": "no", "fil": "tl"}


def require_language(language: str | None) -> None:
    """Raise a UsageError if this is not the code of any language."""
    if not language:
        return
    import langcodes  # takes as long to load as a sentence to embed

    if not langcodes.tag_is_valid(language):
        raise UsageError(f"--language: unknown language {language!r}", "for example eng_Latn, deu or de")


def iso1(language: str) -> str:
    """Return whisper's code of a language: `deu_Latn`, `deu`, `de`, `de-AT` -> `de`.

    Raises:
        UsageError: whisper does not know the language.
    """
    import langcodes
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    try:
        tag = langcodes.standardize_tag(language, macro=True)
    except (langcodes.tag_parser.LanguageTagError, ValueError):
        tag = language
    code = tag.split("-")[0]
    return known(_WHISPERS_OWN.get(code, code), _LANGUAGE_CODES, "--language", language)


def known(code: str, codes: Iterable[str], what: str, given: str | None = None) -> str:
    """Return `code` if it is one of `codes`, else raise a UsageError that names the nearest ones."""
    codes = list(codes)
    if code in codes:
        return code
    # Codes that share the language before the script are nearer than any that only look alike.
    near = [other for other in codes if other.split("_")[0] == code.split("_")[0]]
    near += [other for other in difflib.get_close_matches(code, codes, n=3, cutoff=0.5) if other not in near]
    hint = f"did you mean {', '.join(near[:3])}?" if near else f"for example {', '.join(codes[:5])}"
    raise UsageError(f"{what}: unknown language {given or code!r}", hint)
