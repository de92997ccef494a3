from typing import Any

from flip import Explainer, load_checkpoint
from flip.explain.annotation import lines
from flip.explain.results import Comparison, Explanation
from flip.inputs.record import Record
from flip.model.keywords import Word
from flip.text.align import Name


def words(*named: tuple[str, float]) -> list[Word]:
    return [Word(word, p, p, word.capitalize(), False) for word, p in named]


def test_forms_of_one_word_are_one_line_in_the_place_of_the_best() -> None:
    every = words(("measure", 0.9), ("blood", 0.8), ("measures", 0.7), ("measured", 0.6), ("bleed", 0.5))
    found = lines(every, "en")
    assert [line.label for line in found] == ["Measure +2", "Blood", "Bleed"]
    assert [line.value(lambda word: word.probability) for line in found] == [0.9, 0.8, 0.5]
    assert [word for line in found for word in line.words] != every  # in another order, and complete
    assert {word for line in found for word in line.words} == set(every)
    assert [line.label for line in lines(every)] == [word.surface for word in every]


def test_a_name_is_one_line_if_all_its_words_are_there() -> None:
    every = words(("york", 0.9), ("train", 0.8), ("new", 0.3))
    names = [Name("New York", ("new", "york"), 0, 2), Name("night train", ("night", "train"), 4, 6)]
    found = lines(every, "en", names)
    assert [line.label for line in found] == ["New York", "Train"]
    assert found[0].value(lambda word: word.probability) == 0.3


def test_words_of_two_names_belong_to_the_first() -> None:
    every = words(("new", 0.9), ("york", 0.8), ("city", 0.7))
    names = [Name("New York", ("new", "york"), 0, 2), Name("York City", ("york", "city"), 2, 4)]
    assert [line.label for line in lines(every, None, names)] == ["New York", "City"]


def test_names_and_forms_of_real_texts(minilm: Any) -> None:
    explain = Explainer(load_checkpoint(), lambda: minilm, topn=10, extra=64)
    result = explain.text("Eisen was born in Brooklyn, New York and was raised on Staten Island.")
    shown = result.annotate(explain.checkpoint.likely)
    assert ("New York", "kept") in [(token.text, token.state) for token in shown.tokens]
    assert "Staten Island" not in [token.text for token in shown.tokens]  # the vocabulary lacks one of them
    assert "".join(token.text for token in shown.tokens) == result.input.text
    assert {"new", "york"} <= {word["word"] for word in result.to_dict()["words"]}
    assert "New York" in repr(result)

    text = "How a doctor measures high blood pressure."
    answer = "High blood pressure was measured. High blood pressure is treated with drugs."
    (pair,) = explain.pairs([Record("", text=text)], [Record("", text=answer)])
    assert isinstance(pair, Comparison)
    (name,) = (line for line in pair.lines("shared") if line.name)
    assert [word.word for word in name.words] == sorted(("high", "blood", "pressure"), key=[
        word.word for word in pair.shared].index)  # fmt: skip
    assert "pressure" in [word["word"] for word in pair.to_dict()["shared"]]  # JSON keeps single words


def test_a_list_has_as_many_lines_as_are_asked_for(minilm: Any) -> None:
    explain = Explainer(load_checkpoint(), lambda: minilm, topn=5, extra=64)
    result = explain.text("They took his readings with an instrument, again and again.")
    assert isinstance(result, Explanation)
    shown = result.annotate(0.0)
    assert len(shown.others) == 5
    stems = [line.words[0].word[:4] for line in shown.others]
    assert len(set(stems)) == 5
