"""What differs from language to language: function words, and writing systems.

The list of function words is our own. It holds the closed classes: articles, pronouns, prepositions, conjunctions,
auxiliaries, question words, quantifiers and the most general adverbs, in the form that `normalize` gives them (`dont`,
`its`). Numbers are content. Other languages have no list: the most frequent words of the training data replace it, see
`flip.training.calibration`.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cache
from itertools import islice
from typing import Literal

from flip.text.segment import Unspaced

Language = Literal["english"]  # languages with a list
ENGLISH = frozenset(
    """
    a an the this that these those such
    i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her hers
    herself it its itself they them their theirs themselves one ones oneself somebody someone something anybody anyone
    anything nobody none nothing everybody everyone everything each other another others
    who whom whose which what whatever whoever whichever where when why how wherever whenever however
    and or but nor so yet for if then else than because as while although though unless until since whether whereas
    of in on at by to from with without within into onto upon over under above below between among through during before
    after against about around across along behind beside besides beyond near toward towards off out up down per via
    except like despite inside outside throughout
    am is are was were be been being have has had having do does did done doing can could will would shall should may
    might must ought cannot
    not no never neither either both all any some many much more most few fewer less least several enough every
    very too also just only even still already again almost quite rather really perhaps maybe here there now soon ever
    often always sometimes usually once away back well else instead otherwise therefore thus hence moreover furthermore
    indeed yes oh
    im ive ill id youre youve youll youd hes hell hed shes shed its itll theyre theyve theyll theyd weve wed were
    thats theres heres whats whos wheres hows lets
    isnt arent wasnt werent havent hasnt hadnt dont doesnt didnt cant couldnt wont wouldnt shouldnt mustnt aint
    """.split()  # noqa: SIM905
)

_KANA = frozenset({"HIRAGANA", "KATAKANA"})
_IDEOGRAPHIC = _KANA | {"CJK"}
# There is a dictionary for Thai; Unicode's word boundaries cannot part the others either.
_UNSPACED = frozenset({"LAO", "KHMER", "MYANMAR", "TIBETAN"})
_SHARE = 0.2
SAMPLE = 1_000  # texts that tell the language


@cache
def script(character: str) -> str | None:
    """Return the script of a letter, the first word of its Unicode name; None if the character is not a letter.

    >>> script("a"), script("я"), script("水"), script("7")
    ('LATIN', 'CYRILLIC', 'CJK', None)
    """
    if unicodedata.category(character) not in ("Lu", "Ll", "Lt", "Lo"):
        return None
    name = unicodedata.name(character, "UNNAMED").removeprefix("FULLWIDTH ").removeprefix("HALFWIDTH ")
    return name.split()[0]


def scripts(text: str) -> Counter[str]:
    """Count the letters of each script in a text."""
    return Counter(name for character in text if (name := script(character)))


def unknown_script(text: str, known: frozenset[str]) -> str | None:
    """Return the most frequent unknown script if unknown scripts have more than half of a text's letters, or None.

    >>> unknown_script("The 水", frozenset({"LATIN"})), unknown_script("飲み水", frozenset({"LATIN"}))
    (None, 'CJK')
    """
    if text.isascii() and "LATIN" in known:
        return None
    found = scripts(text)
    foreign = [(count, name) for name, count in found.items() if name not in known]
    if 2 * sum(count for count, _ in foreign) <= found.total():
        return None
    return max(foreign)[1]


def unspaced_language(texts: Iterable[str]) -> Unspaced | None:
    """Return the language of texts if over a fifth of their letters is in a script without spaces, or None.

    The first 1,000 texts decide, and it takes no more of an iterator.

    >>> unspaced_language(["今天天气很好"]), unspaced_language(["今日は天気がいい"])
    ('chinese', 'japanese')
    """
    found = scripts("".join(islice(texts, SAMPLE)))
    kana, every = sum(found[name] for name in _KANA), found.total()
    if kana + found["CJK"] > _SHARE * every:
        return "japanese" if kana > _SHARE * (kana + found["CJK"]) else "chinese"
    return "thai" if found["THAI"] > _SHARE * every else None


def unsegmented(words: Iterable[str]) -> str | None:
    """Return advice if many words are whole clauses, because their script has no spaces, or None.

    Args:
        words: a vocabulary that was cut at spaces and punctuation.
    """
    found = scripts("".join(words))
    for names, advice in (
        (_IDEOGRAPHIC, "--tokenizer chinese or --tokenizer japanese parts them"),
        ({"THAI"}, "--tokenizer thai parts them"),
        (_UNSPACED, "part the words by spaces first, with a segmenter for the language, then --tokenizer whitespace"),
    ):
        here = [name for name in names if found[name]]
        if sum(found[name] for name in here) > _SHARE * found.total():
            script_names = " and ".join(sorted(here))
            return (
                f"{script_names} text has no spaces between words, so a word of this vocabulary is a clause; {advice}"
            )
    return None
