import re

import pytest

from flip.text.sentences import parts, sentences

TEXTS = {
    "en": ("Dr. Smith paid $3.50 for it, e.g. in Jan. 2020. Did he? Yes.", 3),
    "de": ("Am 3. Mai kam Dr. Müller, z. B. mit dem Zug. Dann ging er.", 2),
    "zh": ("今天天气很好。我们去公园吧!你觉得呢?", 3),
    "hi": ("यह अच्छा है। हम जाते हैं।", 2),
    "ar": ("هذا جيد. هل تعرف؟ نعم.", 3),
    "hy": ("Սա լավ է։ Այո։", 2),
    "xx": ("Unu frazo. Dua frazo.", 2),
}


@pytest.mark.parametrize("language", TEXTS)
def test_sentences_of_many_languages_are_the_text_again(language: str) -> None:
    text, count = TEXTS[language]
    found = sentences(text, language)
    assert "".join(found) == text
    assert len(found) == count


@pytest.mark.parametrize("most", [1, 3, 5, 200])
@pytest.mark.parametrize("language", TEXTS)
def test_parts_hold_all_of_the_text_and_no_more_words_than_are_asked_for(language: str, most: int) -> None:
    text, _ = TEXTS[language]
    found = parts(text, most, language)
    assert re.sub(r"\s", "", "".join(found)) == re.sub(r"\s", "", text)
    assert all(len(parts(part, most, language)) == 1 for part in found)
    if language == "xx":
        assert all(len(part.split()) <= most for part in found)


def test_whole_sentences_stay_together_as_far_as_they_fit() -> None:
    assert parts("One two. Three four. Five.", 4) == ["One two. Three four.", "Five."]
    assert parts("One two three four five. Six.", 2) == ["One two", "three four", "five. Six."]
    assert parts("One two. Three.", 100) == ["One two. Three."]
    assert parts("  ", 5) == []
