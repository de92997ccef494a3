"""List the English function words: the other words of a sentence are its content words.

The list is our own. It holds the closed classes: articles, pronouns, prepositions, conjunctions, auxiliaries, question
words, quantifiers and the most general adverbs, in the form that `normalize` gives them (`dont`, `its`).
Numbers are content. Other languages have no list: the most frequent words of the training data replace it, see
`flip.training.calibration`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from flip.arrays import Ints
    from flip.text.vocabulary import Vocabulary

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


def function_words(vocabulary: Vocabulary, language: str | None) -> Ints:
    """Return the indices of a language's function words in a vocabulary, ascending; none without a list."""
    return np.array(sorted(vocabulary.lookup(ENGLISH if language == "english" else ())), np.int64)
