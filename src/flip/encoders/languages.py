"""Map language codes of text and speech encoders, of Common Voice and of the hub to whisper's; list those of SONAR."""

import difflib
from collections.abc import Iterable

from flip.errors import UsageError

_WHISPERS_OWN = {"jv": "jw", "nb": "no", "fil": "tl"}

# Languages of SONAR, in the order of their tokens, which follow the pieces of the vocabulary.
SONAR_TEXT = tuple(
    """
    ace_Arab ace_Latn acm_Arab acq_Arab aeb_Arab afr_Latn ajp_Arab aka_Latn amh_Ethi apc_Arab arb_Arab
    ars_Arab ary_Arab arz_Arab asm_Beng ast_Latn awa_Deva ayr_Latn azb_Arab azj_Latn bak_Cyrl bam_Latn
    ban_Latn bel_Cyrl bem_Latn ben_Beng bho_Deva bjn_Arab bjn_Latn bod_Tibt bos_Latn bug_Latn bul_Cyrl
    cat_Latn ceb_Latn ces_Latn cjk_Latn ckb_Arab crh_Latn cym_Latn dan_Latn deu_Latn dik_Latn dyu_Latn
    dzo_Tibt ell_Grek eng_Latn epo_Latn est_Latn eus_Latn ewe_Latn fao_Latn pes_Arab fij_Latn fin_Latn
    fon_Latn fra_Latn fur_Latn fuv_Latn gla_Latn gle_Latn glg_Latn grn_Latn guj_Gujr hat_Latn hau_Latn
    heb_Hebr hin_Deva hne_Deva hrv_Latn hun_Latn hye_Armn ibo_Latn ilo_Latn ind_Latn isl_Latn ita_Latn
    jav_Latn jpn_Jpan kab_Latn kac_Latn kam_Latn kan_Knda kas_Arab kas_Deva kat_Geor knc_Arab knc_Latn
    kaz_Cyrl kbp_Latn kea_Latn khm_Khmr kik_Latn kin_Latn kir_Cyrl kmb_Latn kon_Latn kor_Hang kmr_Latn
    lao_Laoo lvs_Latn lij_Latn lim_Latn lin_Latn lit_Latn lmo_Latn ltg_Latn ltz_Latn lua_Latn lug_Latn
    luo_Latn lus_Latn mag_Deva mai_Deva mal_Mlym mar_Deva min_Latn mkd_Cyrl plt_Latn mlt_Latn mni_Beng
    khk_Cyrl mos_Latn mri_Latn zsm_Latn mya_Mymr nld_Latn nno_Latn nob_Latn npi_Deva nso_Latn nus_Latn
    nya_Latn oci_Latn gaz_Latn ory_Orya pag_Latn pan_Guru pap_Latn pol_Latn por_Latn prs_Arab pbt_Arab
    quy_Latn ron_Latn run_Latn rus_Cyrl sag_Latn san_Deva sat_Beng scn_Latn shn_Mymr sin_Sinh slk_Latn
    slv_Latn smo_Latn sna_Latn snd_Arab som_Latn sot_Latn spa_Latn als_Latn srd_Latn srp_Cyrl ssw_Latn
    sun_Latn swe_Latn swh_Latn szl_Latn tam_Taml tat_Cyrl tel_Telu tgk_Cyrl tgl_Latn tha_Thai tir_Ethi
    taq_Latn taq_Tfng tpi_Latn tsn_Latn tso_Latn tuk_Latn tum_Latn tur_Latn twi_Latn tzm_Tfng uig_Arab
    ukr_Cyrl umb_Latn urd_Arab uzn_Latn vec_Latn vie_Latn war_Latn wol_Latn xho_Latn ydd_Hebr yor_Latn
    yue_Hant zho_Hans zho_Hant zul_Latn
    """.split()  # noqa: SIM905
)

# Each has an encoder of its own, `sonar_speech_encoder_<code>`.
SONAR_SPEECH = tuple(
    """
    arb asm bel ben bos bul cat ces cmn cym dan deu eng est fin fra guj heb hin hrv ind ita jpn kan kor
    lao lit lvs mal mar mkd mlt nld npi ory pan pes pol por ron rus slk slv snd spa srp swh tam tel tgl
    tha tur ukr urd uzn vie yue
    """.split()  # noqa: SIM905
)

# The official cards still name the first release of these encoders, which is under the MIT licence.
_FIRST_RELEASE = frozenset(
    "arb cat cym dan deu est fin fra ind ita kor nld pes por ron spa swh tgl tur uzn".split()  # noqa: SIM905
)


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


def speech_files(language: str) -> list[str]:
    """Return the files in `facebook/SONAR` with the weights of a language's encoder, the best first.

    The files that the official cards name lie at its root; the folder beside them has copies of some of these, and of
    some that newer ones have replaced.
    """
    version = "" if language == "eng" else "v3ap." if language in _FIRST_RELEASE else "v5ap."
    copies = [] if version == "v5ap." else [f"fairseq2_native/sonar_speech_encoder_{language}.pt"]
    return [f"spenc.{version}{language}.pt", *copies]


def speech_licence(language: str) -> str:
    """Return the licence of the weights of a language's encoder."""
    return "MIT" if language in _FIRST_RELEASE else "CC-BY-NC-4.0"
