"""Names of topics, in the real BERTopic."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from flip.errors import InputError

if TYPE_CHECKING:
    from bertopic import BERTopic

pytestmark = pytest.mark.slow  # BERTopic takes three seconds to load

KINDS = {
    "weather": "The {} fell on the {} all night.|rain snow hail|roof road valley hills harbour",
    "food": "She cooked {} with {} for dinner.|soup rice pasta fish|onions cheese carrots pepper garlic",
    "music": "He played the {} at the {}.|piano violin trumpet guitar|concert wedding opera festival",
}


@pytest.fixture(scope="module")
def documents() -> list[str]:
    made = []
    for kind in KINDS.values():
        sentence, *slots = kind.split("|")
        made += [sentence.format(a, b) for a in slots[0].split() for b in slots[1].split()]
    return made


@pytest.fixture(scope="module")
def embeddings(documents: list[str], minilm: Any) -> np.ndarray:
    return np.asarray(minilm.encode(documents))


Fitted = Callable[..., "BERTopic"]


def representation(embeddings: Any, **options: Any) -> Any:
    from flip.integrations.bertopic import LensRepresentation

    return LensRepresentation(embeddings, **options)


def clustering(named_by: Any, k: int) -> BERTopic:
    from bertopic import BERTopic
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    return BERTopic(
        umap_model=PCA(5, random_state=0),
        hdbscan_model=KMeans(k, random_state=0, n_init=3),
        representation_model=named_by,
    )


@pytest.fixture
def fitted(documents: list[str], embeddings: np.ndarray) -> Fitted:
    """A BERTopic of k topics with another representation."""

    def fit(named_by: Any, k: int = 3) -> BERTopic:
        model = clustering(named_by, k)
        model.fit_transform(documents, embeddings)
        return model

    return fit


def test_topics_are_named_from_embeddings_alone(fitted: Fitted, embeddings: np.ndarray, documents: list[str]) -> None:
    model = fitted(representation(embeddings, top_n_words=6))
    named = [{word for word, _ in words} for words in model.get_topics().values()]
    said = [{kind for kind, words in KINDS.items() if topic & set(re.findall(r"\w+", words))} for topic in named]
    assert sorted(said, key=str) == sorted([{kind} for kind in KINDS], key=str), named
    for words in model.get_topics().values():
        weights = [weight for _, weight in words]
        assert len(words) == 6 and weights == sorted(weights, reverse=True) and weights[-1] > 0
    # The same embeddings with texts that say nothing give the same names.
    again = clustering(representation(embeddings, top_n_words=6), 3)
    again.fit_transform([f"document number {i} of many" for i in range(len(documents))], embeddings)
    assert again.get_topics() == model.get_topics()


def test_beside_others_and_after_merging(fitted: Fitted, embeddings: np.ndarray, documents: list[str]) -> None:
    model = fitted({"Main": representation(embeddings), "counted": []}, k=4)
    assert set(model.topic_aspects_) == {"counted"} and len(model.get_topics()) == 4
    model.merge_topics(documents, [0, 1])
    assert len(model.get_topics()) == 3 and all(words[0][0] for words in model.get_topics().values())
    over_time = model.topics_over_time(documents, [2000 + i % 2 for i in range(len(documents))])
    assert any(over_time["Words"].str.strip(", "))  # eight documents of a topic seldom differ surely


def test_a_topic_of_all_documents_has_nothing_to_be_told_from(
    fitted: Fitted, embeddings: np.ndarray, documents: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        parents = fitted(representation(embeddings)).hierarchical_topics(documents)
    assert len(parents) == 2
    assert "no word is certainly more frequent there" in caplog.text


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda u: u[:, :7], "7 dimensions; the model expects 384"),
        (lambda u: u[:-1], r"\d+ embeddings for \d+ documents"),
        (lambda u: np.concatenate([u, u]), r"\d+ embeddings for \d+ documents"),
        (lambda u: u * np.nan, "NaN or infinity"),
    ],
)
def test_embeddings_of_something_else(fitted: Fitted, embeddings: np.ndarray, wrong: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fitted(representation(wrong(embeddings)))


def online(named_by: Any) -> BERTopic:
    from bertopic import BERTopic
    from bertopic.vectorizers import OnlineCountVectorizer
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.decomposition import IncrementalPCA

    class Reduced(IncrementalPCA):  # type: ignore[misc]
        def transform(self, X: Any) -> Any:
            return super().transform(X).astype("float64")  # MiniBatchKMeans does not mix types

    return BERTopic(
        umap_model=Reduced(5),
        hdbscan_model=MiniBatchKMeans(3, random_state=0, n_init=3),
        vectorizer_model=OnlineCountVectorizer(stop_words="english"),
        representation_model=named_by,
    )


def test_batches_are_named_by_their_own_embeddings(documents: list[str], embeddings: np.ndarray) -> None:
    """Each batch is of other kinds than the one before, in the order of KINDS."""
    model = online(representation(embeddings, documents=documents))
    half, named, strange = len(documents) // 2, [], []
    for start in range(0, len(documents), half):
        batch = slice(start, start + half)
        model.partial_fit(documents[batch], embeddings[batch].astype("float64"))
        for topic in sorted(set(model.topics_)):
            said = {word for word, _ in model.get_topic(topic) if word}
            own = " ".join(text for text, t in zip(documents[batch], model.topics_, strict=True) if t == topic)
            if said and not said & set(re.findall(r"\w+", own)):
                strange.append((own, said))  # words near those of the text, as steak to pasta
            named.append(said)
    assert len(strange) < sum(map(bool, named)) / 4, strange


def test_equal_documents_take_turns() -> None:
    from flip.integrations.bertopic import _found

    assert _found(["a", "b", "a"], ["a", "x", "a", "b"], 4) == [0, 3, 2]


def test_batches_without_their_documents_are_refused(documents: list[str], embeddings: np.ndarray) -> None:
    half = len(documents) // 2
    with pytest.raises(InputError, match=f"{len(documents)} embeddings for {half} documents"):
        online(representation(embeddings)).partial_fit(documents[:half], embeddings[:half].astype("float64"))
    model = online(representation(embeddings[:half]))  # of the first batch
    model.partial_fit(documents[:half], embeddings[:half].astype("float64"))
    with pytest.raises(InputError, match="other documents, which were named before"):
        model.partial_fit(documents[half : 2 * half], embeddings[half : 2 * half].astype("float64"))


def test_documents_that_are_not_those_of_the_embeddings(documents: list[str], embeddings: np.ndarray) -> None:
    u = embeddings.astype("float64")
    with pytest.raises(InputError, match="is not among those of the embeddings: 'Something else.'"):
        online(representation(embeddings, documents=documents)).partial_fit(["Something else.", *documents[1:]], u)
    with pytest.raises(InputError, match="embeddings for 3 documents="):
        online(representation(embeddings, documents=documents[:3])).partial_fit(documents, u)
