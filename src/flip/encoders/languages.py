"""Language codes: ISO 639-3 with and without a script, as the encoders name them, to whisper's ISO 639-1."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from flip.errors import UsageError

_ISO1 = dict(
    pair.split(":")
    for pair in [
        "afr:af",
        "amh:am",
        "arb:ar",
        "ara:ar",
        "asm:as",
        "azj:az",
        "bel:be",
        "ben:bn",
        "bos:bs",
        "bul:bg",
        "cat:ca",
        "ces:cs",
        "cmn:zh",
        "zho:zh",
        "cym:cy",
        "dan:da",
        "deu:de",
        "ell:el",
        "eng:en",
        "est:et",
        "eus:eu",
        "fao:fo",
        "fas:fa",
        "pes:fa",
        "fin:fi",
        "fra:fr",
        "glg:gl",
        "guj:gu",
        "hat:ht",
        "hau:ha",
        "heb:he",
        "hin:hi",
        "hrv:hr",
        "hun:hu",
        "hye:hy",
        "ind:id",
        "isl:is",
        "ita:it",
        "jav:jw",
        "jpn:ja",
        "kan:kn",
        "kat:ka",
        "kaz:kk",
        "khm:km",
        "kor:ko",
        "lao:lo",
        "lin:ln",
        "lit:lt",
        "ltz:lb",
        "lvs:lv",
        "mal:ml",
        "mar:mr",
        "mkd:mk",
        "mlt:mt",
        "mri:mi",
        "mya:my",
        "nld:nl",
        "nno:nn",
        "nob:no",
        "npi:ne",
        "oci:oc",
        "pan:pa",
        "pbt:ps",
        "pol:pl",
        "por:pt",
        "ron:ro",
        "rus:ru",
        "san:sa",
        "sin:si",
        "slk:sk",
        "slv:sl",
        "sna:sn",
        "snd:sd",
        "som:so",
        "spa:es",
        "srp:sr",
        "sun:su",
        "swe:sv",
        "swh:sw",
        "tam:ta",
        "tat:tt",
        "tel:te",
        "tgk:tg",
        "tgl:tl",
        "tha:th",
        "tuk:tk",
        "tur:tr",
        "ukr:uk",
        "urd:ur",
        "uzn:uz",
        "vie:vi",
        "ydd:yi",
        "yor:yo",
        "yue:yue",
        "zsm:ms",
    ]
)


def iso1(language: str) -> str:
    """`deu_Latn`, `deu` or `de` -> `de`.

    Raises:
        UsageError: whisper does not know the language.
    """
    code = language.split("_")[0].lower()
    if code in _ISO1.values():
        return code
    return _ISO1[known(code, _ISO1, "--language")]


def known(code: str, codes: Iterable[str], what: str) -> str:
    """`code` if it is one of `codes`, else a UsageError that names the nearest ones."""
    codes = list(codes)
    if code in codes:
        return code
    # Codes that share the language before the script are nearer than any that only look alike.
    near = [other for other in codes if other.split("_")[0] == code.split("_")[0]]
    near += [other for other in difflib.get_close_matches(code, codes, n=3, cutoff=0.5) if other not in near]
    hint = f"did you mean {', '.join(near[:3])}?" if near else f"for example {', '.join(codes[:5])}"
    raise UsageError(f"{what}: unknown language {code!r}", hint)
