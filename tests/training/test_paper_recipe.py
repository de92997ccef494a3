"""`--recipe paper` against the rules of the published program, each stated in a few lines of plain torch or sklearn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from flip.evaluation.metrics import References
from flip.text.bow import bags_of_indices
from flip.text.tokenize import Tokenizer, TokenizerName
from flip.text.vocabulary import build_vocabulary
from flip.training import training_data
from flip.training.initialization import initial_parameters
from flip.training.recipes import PAPER
from flip.training.trainer import Trainer
from flip.training.training_data import DevData, TrainingData, dev_recall, dev_references, training_bags

D, WORDS, RANK = 6, 25, 4
PARTS = (37, 60)
CONFIG = replace(PAPER, rank=RANK, batch_size=20, epochs=4, check_every=2, alpha=0.7, weight_decay=0.3, l1=1.0, seed=9)


def sentences(parts: tuple[int, ...]) -> tuple[list[np.ndarray], list[list[int]]]:
    rng = np.random.default_rng(1)
    n = sum(parts)
    views = [rng.normal(size=(n, D)).astype(np.float32) for _ in range(2)]
    return views, [rng.choice(WORDS, rng.integers(1, 5)).tolist() for _ in range(n)]


def published(views: list[np.ndarray], lists: list[list[int]], rank: int | None) -> Iterator[list[np.ndarray]]:
    """The parameters after each pass of the published loop."""
    torch.manual_seed(CONFIG.seed)
    shapes = [(WORDS, D), (WORDS, 1)] if rank is None else [(WORDS, rank), (rank, D), (WORDS, 1)]
    parameters = [torch.nn.Parameter(torch.nn.init.xavier_normal_(torch.randn(shape))) for shape in shapes]
    yield [p.detach().numpy().copy() for p in parameters]
    optimizer = torch.optim.AdamW(parameters, lr=CONFIG.lr, weight_decay=CONFIG.weight_decay)
    X = torch.from_numpy(np.array([np.bincount(words, minlength=WORDS) for words in lists])).float()
    while True:
        offset = 0
        for n in PARTS:
            for rows in torch.arange(offset, offset + n).chunk(max(1, n // CONFIG.batch_size)):
                loss = torch.zeros(())
                for view, weight in zip(views, (CONFIG.alpha, 1 - CONFIG.alpha), strict=True):
                    *E, b = parameters
                    u = torch.from_numpy(view)[rows]
                    z = (b + (E[0] @ u.T if rank is None else E[0] @ (E[1] @ u.T))).T
                    loss = loss - weight * (torch.log_softmax(z, dim=1) * X[rows]).sum()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                E1 = parameters[0].data
                parameters[0].data = E1.sign() * (E1.abs() - CONFIG.lr * CONFIG.l1).clamp(min=0)
            offset += n
        yield [p.detach().numpy().copy() for p in parameters]


@pytest.mark.parametrize("rank", [RANK, None])
def test_every_pass_is_the_published_one(rank: int | None) -> None:
    views, lists = sentences(PARTS)
    bags = bags_of_indices(lists)
    dev = DevData(tuple(views), References(bags, bags.sizes))
    trained = Trainer(TrainingData(tuple(views), bags, parts=PARTS), dev, WORDS, replace(CONFIG, rank=rank))
    passes = len(list(trained.fit()))
    A, *B, b = next(islice(published(views, lists, rank), passes, None))
    np.testing.assert_allclose(trained.A.numpy(), A, atol=2e-6)
    np.testing.assert_allclose(trained.b.numpy(), b[:, 0], atol=2e-6)
    if rank is not None:
        np.testing.assert_allclose(trained.B.numpy(), B[0], atol=2e-6)  # type: ignore[union-attr]
    assert (A == 0).mean() == (trained.A == 0).float().mean() > 0


def test_the_start_is_theirs_to_the_bit() -> None:
    views, lists = sentences(PARTS)
    A, b, B = initial_parameters(CONFIG, bags_of_indices(lists), WORDS, D)
    for found, expected in zip((A, B, b[:, None]), next(published(views, lists, RANK)), strict=True):
        assert found is not None and np.array_equal(found.numpy(), expected)


@pytest.mark.parametrize("early_stopping", [True, False])
def test_training_ends_at_the_check_after_the_patience(early_stopping: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = [0.1, 0.2, 0.2, 0.15, 0.3, 0.3, 0.2, 0.1, 0.3, 0.3, 0.3]
    best, patience, checks = 0.0, 2, 0
    for score in scores:  # the published rule
        checks += 1
        if score > best:
            best, patience = score, 2
        elif patience == 0:
            break
        else:
            patience -= 1
    given = iter(scores)
    monkeypatch.setattr(training_data, "dev_recall", lambda *args: next(given))
    views, lists = sentences(PARTS)
    bags = bags_of_indices(lists)
    dev = DevData((views[0],), References(bags, bags.sizes))
    config = replace(CONFIG, patience=2, epochs=11, check_every=1, early_stopping=early_stopping)
    trained = Trainer(TrainingData((views[0],), bags), dev, WORDS, config)
    assert len(list(trained.fit())) == (checks if early_stopping else 11) != 0
    assert checks == 8 and trained.best_score == 0.3


TEXTS = ["Don't stop—now, it's Été!", "the don of it", "Stop the 5-a-side re-run", "don ete", "A b c. [Now]"]


@pytest.mark.parametrize("name", ["latin", "whitespace"])
@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("ngram", [(1, 1), (1, 2)])
def test_words_are_counted_as_their_loader_does(name: TokenizerName, lowercase: bool, ngram: tuple[int, int]) -> None:
    """The vocabulary is made of stripped text, and looked for in text that is not."""
    from sklearn.feature_extraction.text import CountVectorizer

    cut = Tokenizer(name, "ascii", ngram, lowercase=lowercase)
    words = build_vocabulary(TEXTS, cut)
    theirs = CountVectorizer(
        vocabulary=words.index,
        token_pattern={"latin": r"(?u)\b\w\w+\b", "whitespace": r"[\S]+"}[name],
        ngram_range=ngram,
        lowercase=lowercase,
        strip_accents="ascii",
    )
    bags = training_bags(TEXTS, words, "paper")
    found = np.zeros((len(TEXTS), len(words)))
    found[bags.rows, bags.words] = bags.counts
    assert np.array_equal(found, theirs.transform(TEXTS).toarray())
    assert np.array_equal(dev_references(TEXTS, words, "paper").words.words, bags.words)
    ours = training_bags(TEXTS, words, "flip")
    assert len(ours.words) > len(bags.words)


def test_recall_is_of_the_top_2k_of_at_most_100_and_rounded() -> None:
    from flip.model.linear import LogLinear

    rng = np.random.default_rng(0)
    W, u = rng.normal(size=(300, D)).astype(np.float32), rng.normal(size=(7, D)).astype(np.float32)
    lists = [rng.choice(300, size, replace=False).tolist() for size in (1, 3, 49, 50, 51, 90, 120)]
    recalls = []
    for row, words in zip(u, lists, strict=True):
        top = np.argsort(-(W @ row))[: min(100, int(len(words) * 2.0))]
        recalls.append(len(set(words) & set(top.tolist())) / len(words))
    model = LogLinear(W, rng.normal(size=300).astype(np.float32))
    assert dev_recall(model, [u], bags_of_indices(lists)) == round(float(np.mean(recalls)), 4)
