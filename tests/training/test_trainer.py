from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest
import torch
from safetensors import safe_open

from flip.errors import FlipError, InputError, UsageError
from flip.evaluation.metrics import References, evaluate
from flip.files import replacing
from flip.model import tensors
from flip.model.checkpoint import load_model
from flip.model.config import CheckpointConfig
from flip.model.linear import FactorizedLogLinear, LogLinear
from flip.text.bow import Bags, bags_of_indices
from flip.text.vocabulary import Vocabulary
from flip.training import initialization
from flip.training import run_folder as runs
from flip.training.initialization import Whitening, fit_whitening
from flip.training.recipes import PAPER, TrainConfig
from flip.training.run_folder import train_run
from flip.training.trainer import Trainer, soft_threshold_
from flip.training.training_data import DevData, TrainingData, fitted_bias

D, WORDS = 12, 30
CONFIG = TrainConfig(rank=D, epochs=6, batch_size=50, lr=0.05, precision="float32")


def data(n: int, seed: int, views: int = 1) -> tuple[TrainingData, DevData]:
    """Badly conditioned embeddings of bags of words: sums of word vectors, skewed and shifted."""
    world = np.random.default_rng(7)
    vectors = world.normal(size=(WORDS, D)) @ (np.diag(np.geomspace(1, 30, D)) @ world.normal(size=(D, D)))
    rng = np.random.default_rng(seed)
    lists = [rng.choice(WORDS, size=rng.integers(1, 4), replace=False).tolist() for _ in range(n)]
    clean = np.array([vectors[words].sum(axis=0) + 5 for words in lists])
    noisy = tuple((clean + rng.normal(scale=0.1, size=clean.shape)).astype(np.float32) for _ in range(views))
    bags = bags_of_indices(lists)
    return TrainingData(noisy, bags), DevData(noisy, References(bags, bags.sizes))


def trainer(config: TrainConfig = CONFIG, views: int = 1) -> Trainer:
    return Trainer(data(400, 0, views)[0], data(100, 1, views)[1], WORDS, config)


def words() -> Vocabulary:
    return Vocabulary(tuple(f"w{i}" for i in range(WORDS)))


def finish(trained: Trainer) -> list[float]:
    return [epoch.loss for epoch in trained.fit()]


@pytest.mark.parametrize(
    ("rank", "kind", "shape"),
    [
        (None, LogLinear, "full"),
        (6, FactorizedLogLinear, 6),
        (D, FactorizedLogLinear, D),
        (40, FactorizedLogLinear, 40),
    ],
)
@pytest.mark.parametrize("objective", ["bernoulli", "multinomial"])
def test_every_rank_and_objective_learns_a_model_of_the_raw_embedding(rank, kind, shape, objective) -> None:
    trained = trainer(replace(CONFIG, rank=rank, objective=objective))
    losses = finish(trained)
    assert isinstance(trained.best, kind)
    assert trained.best.rank == shape
    assert losses[-1] < 0.7 * losses[0]
    assert trained.best_score > (0.35 if rank == 6 else 0.8)


def test_from_the_dimension_on_a_rank_changes_the_shape_and_not_the_model() -> None:
    full, square, wide = (trainer(replace(CONFIG, rank=rank)) for rank in (None, D, 40))
    u = data(20, 2)[0].views[0]
    for trained in (full, square, wide):
        finish(trained)
    assert np.allclose(square.model().scores(u), full.model().scores(u), atol=1e-2)
    assert np.allclose(wide.model().scores(u), full.model().scores(u), atol=1e-2)


def test_whitening_speeds_up_learning() -> None:
    whitened, raw = trainer(), trainer(replace(CONFIG, inputs="raw"))
    finish(whitened)
    finish(raw)
    assert whitened.best_score > raw.best_score


@pytest.mark.parametrize(("alpha", "used"), [(1.0, 0), (0.0, 1)])
def test_alpha_at_an_end_never_reads_the_other_view(alpha: float, used: int) -> None:
    train, dev = data(400, 0, views=2)
    views = list(train.views)
    views[1 - used] = np.full_like(views[1 - used], np.nan)
    trained = Trainer(
        TrainingData(tuple(views), train.bags),
        DevData(dev.views, dev.references),
        WORDS,
        replace(CONFIG, alpha=alpha),
    )
    finish(trained)
    alone = Trainer(
        TrainingData((train.views[used],), train.bags), DevData((dev.views[used],), dev.references), WORDS, CONFIG
    )
    finish(alone)
    assert trained.best_score == alone.best_score
    assert np.array_equal(trained.model().output, alone.model().output)


def test_two_views_are_mixed() -> None:
    """The gradient of a step over all sentences is alpha of the first's and 1 - alpha of the second's."""
    train, dev = data(400, 0)
    views = (train.views[0], np.random.default_rng(1).normal(size=train.views[0].shape).astype(np.float32))
    config = replace(CONFIG, alpha=0.3, rank=None, inputs="raw", batch_size=400, epochs=1)
    trained = Trainer(TrainingData(views, train.bags), DevData(2 * dev.views, dev.references), WORDS, config)
    probabilities = 1 / (1 + np.exp(-trained.b.double().numpy()))  # A is zero before the first step
    Y = np.zeros((400, WORDS))
    Y[np.repeat(np.arange(400), train.bags.sizes), train.bags.words] = 1
    finish(trained)
    expected = (probabilities - Y).T @ (0.3 * views[0] + 0.7 * views[1]) / 400
    assert trained.A.grad is not None
    assert np.abs(trained.A.grad.numpy() - expected).max() < 1e-5 * np.abs(expected).max()


def test_the_same_seed_gives_the_same_model_and_another_one_does_not() -> None:
    first, second, third = trainer(), trainer(), trainer(replace(CONFIG, seed=1))
    for trained in (first, second, third):
        finish(trained)
    assert np.array_equal(first.model().output, second.model().output)
    assert not np.array_equal(first.model().output, third.model().output)


@pytest.mark.parametrize("rank", [6, D, 40])
def test_l1_gives_exact_zeros_which_are_logged_and_saved(rank: int) -> None:
    trained = trainer(replace(CONFIG, l1=0.5, rank=rank))
    epochs = list(trained.fit())
    assert np.isclose(epochs[-1].sparsity, np.mean(trained.model().output == 0)) and epochs[-1].sparsity > 0.05


def test_l1_gives_exact_zeros_at_full_rank_on_embeddings_that_are_not_whitened() -> None:
    trained = trainer(replace(CONFIG, l1=0.1, rank=None, inputs="centred"))
    epochs = list(trained.fit())
    assert np.isclose(epochs[-1].sparsity, np.mean(trained.model().output == 0)) and epochs[-1].sparsity > 0.05
    with pytest.raises(UsageError, match="has no zeros"):
        replace(CONFIG, l1=0.1, rank=None)


def test_entries_near_zero_become_zero() -> None:
    A = torch.tensor([[0.5, -0.5, 0.05, -0.05]])
    soft_threshold_(A, 0.1)
    assert torch.allclose(A, torch.tensor([[0.4, -0.4, 0.0, 0.0]]))
    assert (A == 0).sum() == 2


def test_weight_decay_shrinks() -> None:
    plain, decayed = trainer(), trainer(replace(CONFIG, weight_decay=1.0))
    finish(plain)
    finish(decayed)
    assert np.linalg.norm(decayed.model().output) < np.linalg.norm(plain.model().output)


def test_stops_when_dev_stops_gaining_and_keeps_the_best() -> None:
    trained = trainer(replace(CONFIG, epochs=200, patience=2))
    epochs = list(trained.fit())
    assert len(epochs) < 200
    best = max(epochs, key=lambda epoch: (epoch.score, -epoch.epoch))
    assert trained.best_score == best.score
    assert best.best
    assert not any(epoch.best for epoch in epochs[best.epoch :])
    assert len(epochs) == best.epoch + 2


def test_calibration_is_no_part_of_the_training() -> None:
    raw, calibrated = (trainer(replace(CONFIG, calibrate=value)) for value in (False, True))
    losses = [finish(trained) for trained in (raw, calibrated)]
    assert losses[0] == losses[1]
    (u,) = raw.dev.views
    assert np.array_equal(raw.best.scores(u), calibrated.best.scores(u))
    assert raw.best_score == calibrated.best_score


def test_b_is_scaled_at_each_check_and_learns_on_unscaled() -> None:
    raw, scaled = (trainer(replace(CONFIG, scale_bias=value, init="xavier")) for value in (False, True))
    assert finish(raw) == finish(scaled)
    assert scaled.best_score >= raw.best_score
    assert np.array_equal(raw.model().b, scaled.model().b)
    model = scaled._folded()
    assert np.array_equal(scaled._checked_model().b, fitted_bias(model, scaled.dev_views, scaled.dev.references.words))


def test_augmented_sentences_do_not_affect_the_whitening() -> None:
    train, dev = data(400, 0)
    both = TrainingData((np.concatenate([train.views[0], 9 * train.views[0][:50]]),), joined(train.bags, 50), whole=400)
    plain, with_crops = Trainer(train, dev, WORDS, CONFIG), Trainer(both, dev, WORDS, CONFIG)
    assert np.array_equal(plain.whitening.C, with_crops.whitening.C)
    assert with_crops.n == 450


def joined(bags: Bags, again: int) -> Bags:
    """The bags, and the first so many once more."""
    lists = [bags.words[bags.indptr[i] : bags.indptr[i + 1]].tolist() for i in range(len(bags))]
    return bags_of_indices(lists + lists[:again])


def test_the_paper_recipe_checks_every_third_pass() -> None:
    trained = trainer(replace(PAPER, rank=D, epochs=9, batch_size=100))
    epochs = list(trained.fit())
    assert [epoch.epoch for epoch in epochs if epoch.score is not None] == [3, 6, 9]
    assert [epoch.epoch for epoch in epochs if epoch.accuracy is not None] == [3, 6, 9]
    assert epochs[-1].best
    found = evaluate(trained.best, trained.dev.views[0], trained.dev.references)["accuracy"]
    assert epochs[-1].accuracy == pytest.approx(found["bias"]["mean"])
    assert trained.dtype == torch.float32


def test_until_the_first_check_the_run_holds_the_last_model(tmp_path) -> None:
    trained, vocabulary = trainer(replace(PAPER, rank=D, epochs=9, batch_size=100)), words()
    initial = trained.model().b
    first = next(train_run(tmp_path, trained, vocabulary, CheckpointConfig()))
    assert (first.score, first.best) == (None, False)
    saved = load_model(tmp_path / "model.safetensors").b
    assert np.array_equal(saved, trained.model().b)
    assert not np.array_equal(saved, initial)


def test_the_paper_recipe_checks_recall_at_top_2k_without_bias() -> None:
    trained = trainer(replace(PAPER, rank=D, epochs=6, batch_size=100))
    trained.b += torch.linspace(-500, 500, WORDS)  # with b every sentence has nearly the same words
    finish(trained)
    known, (u,) = trained.dev.references.words, trained.dev.views
    recalls = []
    for i, scores in enumerate(u @ trained.best.B.T @ trained.best.A.T):
        wanted = set(known.words[known.indptr[i] : known.indptr[i + 1]].tolist())
        found = wanted & set(np.argsort(-scores)[: 2 * len(wanted)].tolist())
        recalls.append(len(found) / len(wanted))
    assert trained.best_score == pytest.approx(np.mean(recalls))


def test_the_last_epoch_is_always_checked() -> None:
    trained = trainer(replace(PAPER, rank=D, epochs=2, batch_size=100))
    assert [epoch.best for epoch in trained.fit()] == [False, True]


def test_divergence_keeps_the_last_good_model() -> None:
    trained = trainer(replace(CONFIG, lr=1e38, objective="multinomial", schedule="plateau"))
    with pytest.raises(FlipError, match="diverged in epoch"):
        finish(trained)
    assert np.isfinite(trained.best.b).all()
    assert np.isfinite(trained.best.output).all()


def test_divergence_ends_a_pass_early_and_leaves_the_run_as_it_was(tmp_path) -> None:
    trained, steps = trainer(replace(CONFIG, batch_size=4)), []
    epochs = train_run(tmp_path, trained, words(), CheckpointConfig(), on_step=lambda done, total: steps.append(done))
    next(epochs)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    trained.A.fill_(torch.nan)
    with pytest.raises(FlipError, match="diverged in epoch 2"):
        next(epochs)
    assert len(steps) < 100 + 16  # of 100 a pass
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_rate_warms_up_and_falls() -> None:
    rates = [epoch.lr for epoch in trainer(replace(CONFIG, epochs=10, warm_up=0.5)).fit()]
    assert rates[:5] == sorted(rates[:5])
    assert rates[4] == pytest.approx(CONFIG.lr)
    assert rates[5:] == sorted(rates[5:], reverse=True)


def test_plateau_lowers_the_rate_as_torch_does() -> None:
    """The published training calls ReduceLROnPlateau(opt, mode="max", factor=0.5, patience=patience // 2)."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=CONFIG.lr)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="max", factor=0.5, patience=3)
    for epoch in trainer(replace(CONFIG, schedule="plateau", warm_up=0.0, epochs=60, patience=6)).fit():
        assert epoch.lr == optimizer.param_groups[0]["lr"]
        theirs.step(epoch.score)
    assert epoch.lr < CONFIG.lr


def test_presence_makes_counts_equal() -> None:
    train, dev = data(200, 0)
    counted = replace(train, bags=replace(train.bags, counts=train.bags.counts * 3))
    config = replace(CONFIG, objective="multinomial", epochs=2)
    models = {}
    for targets in ("presence", "counts"):
        for name, given in (("once", train), ("thrice", counted)):
            trained = Trainer(given, dev, WORDS, replace(config, targets=targets))
            finish(trained)
            models[targets, name] = trained.model()
    assert np.array_equal(models["presence", "once"].output, models["presence", "thrice"].output)
    assert np.array_equal(models["presence", "once"].output, models["counts", "once"].output)
    assert not np.array_equal(models["counts", "once"].b, models["counts", "thrice"].b)


def test_the_kept_model_does_not_change_with_the_next_step() -> None:
    trained = trainer(replace(CONFIG, inputs="raw"))
    before = trained.model(), trained.best
    copies = [(kept.output.copy(), kept.b.copy()) for kept in before]
    next(trained.fit())
    for kept, (output, b) in zip(before, copies, strict=True):
        assert np.array_equal(kept.output, output)
        assert np.array_equal(kept.b, b)
    assert trained.best is not before[1]
    assert not np.shares_memory(trained.best.b, trained.b.numpy())


def test_no_data() -> None:
    with pytest.raises(InputError, match="no sentence"):
        TrainingData((np.ones((0, 3), np.float32),), bags_of_indices([]))
    with pytest.raises(InputError, match=r"\[2\] embeddings for 1"):
        TrainingData((np.ones((2, 3), np.float32),), bags_of_indices([[1]]))


def test_dev_without_a_word_of_the_vocabulary() -> None:
    empty = bags_of_indices([[], []])
    with pytest.raises(InputError, match="no sentence of dev has a word of the vocabulary"):
        DevData((np.ones((2, D), np.float32),), References(empty, empty.sizes))
    one = bags_of_indices([[1]])
    with pytest.raises(InputError, match=r"\[2\] embeddings for 1"):
        DevData((np.ones((2, D), np.float32),), References(one, one.sizes))


def test_a_run_is_not_resumed_on_other_data(tmp_path) -> None:
    vocabulary = words()
    next(train_run(tmp_path, trainer(), vocabulary, CheckpointConfig()))
    with pytest.raises(UsageError, match="data"):
        train, dev = data(400, 5)[0], data(100, 1)[1]
        next(train_run(tmp_path, Trainer(train, dev, WORDS, CONFIG), vocabulary, CheckpointConfig(), resume=True))
    with pytest.raises(UsageError, match="vocabulary"):
        other = Vocabulary(tuple(f"v{i}" for i in range(WORDS)))
        next(train_run(tmp_path, trainer(), other, CheckpointConfig(), resume=True))


@pytest.mark.parametrize("rank", [5, D])
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(tmp_path, rank: int) -> None:
    config = replace(CONFIG, rank=rank, patience=100)
    vocabulary = words()
    whole, first, second = trainer(config), trainer(config), trainer(config)
    (tmp_path / "whole").mkdir()
    (tmp_path / "broken").mkdir()
    for _ in train_run(tmp_path / "whole", whole, vocabulary, CheckpointConfig()):
        pass
    for epoch in train_run(tmp_path / "broken", first, vocabulary, CheckpointConfig()):
        if epoch.epoch == 3:
            break
    for _ in first.fit():  # what a killed process had done of the next epoch is lost
        break
    for _ in train_run(tmp_path / "broken", second, vocabulary, CheckpointConfig(), resume=True):
        pass
    for name in ("model.safetensors", "vocab.json", "options.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "broken" / name).read_bytes(), name
    states = []
    for name in ("whole", "broken"):
        with safe_open(tmp_path / name / "state.safetensors", framework="numpy") as file:
            states.append(({key: file.get_tensor(key).tobytes() for key in file.keys()}, file.metadata()))  # noqa: SIM118
    assert states[0] == states[1]
    lines = [(tmp_path / name / "log.jsonl").read_text().splitlines() for name in ("whole", "broken")]
    assert [len(part) for part in lines] == [6, 6]


@pytest.mark.parametrize("written", [0, 1])
def test_no_line_of_the_log_is_lost_if_a_kill_falls_between_two_files(tmp_path, monkeypatch, written: int) -> None:
    epochs = train_run(tmp_path, trainer(), words(), CheckpointConfig())
    assert [next(epochs).epoch, next(epochs).epoch] == [1, 2]
    files = []

    def killed(path: Path):
        files.append(path)
        if len(files) > written:
            raise KeyboardInterrupt
        return replacing(path)

    with monkeypatch.context() as patched:
        patched.setattr(runs, "replacing", killed)
        patched.setattr(tensors, "replacing", killed)
        with pytest.raises(KeyboardInterrupt):
            next(train_run(tmp_path, trainer(), words(), CheckpointConfig(), resume=True))
    assert [epoch.epoch for epoch in train_run(tmp_path, trainer(), words(), CheckpointConfig(), resume=True)] == [
        3,
        4,
        5,
        6,
    ]
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [orjson.loads(line)["epoch"] for line in lines] == [1, 2, 3, 4, 5, 6]


def test_the_seconds_of_the_first_epoch_include_the_whitening(monkeypatch) -> None:
    def slow(*args, **options) -> Whitening:
        time.sleep(0.5)
        return fit_whitening(*args, **options)

    monkeypatch.setattr(initialization, "fit_whitening", slow)
    seconds = [epoch.seconds for epoch in trainer().fit()]
    assert seconds[0] > 0.5
    assert min(seconds) < 0.5


@pytest.mark.slow
def test_numbers_too_small_for_float32_do_not_slow_training_down() -> None:
    # In a process of its own: threads that exist already keep their setting.
    done = subprocess.run([sys.executable, "-c", _TINY], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["True", "False"], done.stderr


_TINY = """
import numpy as np, torch
from flip.text.bow import bags_of_indices
from flip.evaluation.metrics import References
from flip.training.recipes import TrainConfig
from flip.training.trainer import Trainer
from flip.training.training_data import DevData, TrainingData
bags, u = bags_of_indices([[0], [1]]), np.eye(2, dtype=np.float32)
trainer = Trainer(TrainingData((u,), bags), DevData((u,), References(bags, bags.sizes)), 2, TrainConfig(rank=2))
print(bool((torch.full((1_000_000,), 1e-38) * 1e-2).eq(0).all()))
torch.set_flush_denormal(False)
print(bool((torch.full((10,), 1e-38) * 1e-2).eq(0).all()))
"""
