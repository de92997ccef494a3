from __future__ import annotations

from dataclasses import fields, replace

import pytest

from flip.errors import UsageError
from flip.training.recipes import PAPER, TrainConfig, choose


def test_single_ingredients_override_a_recipe() -> None:
    chosen = choose("paper", 128, {"lr": 0.1, "l1": None, "shuffle": True, "seed": 4, "another setting": 1})
    assert chosen == replace(PAPER, rank=128, lr=0.1, shuffle=True, seed=4)
    assert choose("flip", "full", {}) == replace(TrainConfig(), rank=None)
    assert [choose("flip", None, {}, d).rank for d in (384, 1024, None)] == [384, 512, 512]
    assert choose("flip", 1024, {}, 384).rank == 1024


@pytest.mark.parametrize(
    ("objective", "targets", "used"),
    [
        ("bernoulli", None, "presence"),
        ("bernoulli", "presence", "presence"),
        ("multinomial", None, "counts"),
        ("multinomial", "presence", "presence"),
    ],
)
def test_targets_follow_the_objective(objective, targets, used) -> None:
    for recipe in (TrainConfig(), PAPER):
        assert replace(recipe, objective=objective, targets=targets).resolved(100).targets == used


def test_bernoulli_has_no_counts() -> None:
    with pytest.raises(UsageError, match="--targets counts with --objective bernoulli") as error:
        TrainConfig(targets="counts")
    assert error.value.hint == "--targets presence, or --objective multinomial"


def test_single_words_of_a_softmax_have_no_probability_to_calibrate() -> None:
    with pytest.raises(UsageError, match="--calibrate with --objective multinomial"):
        TrainConfig(objective="multinomial", calibrate=True)
    used = [TrainConfig().resolved(9), TrainConfig(objective="multinomial").resolved(9), PAPER.resolved(9)]
    assert [config.calibrate for config in used] == [True, False, False]


def test_small_data_are_passed_over_more_often() -> None:
    small, large = TrainConfig().resolved(2_000), TrainConfig().resolved(50_000)
    assert small.batch_size < large.batch_size == 1000
    assert small.epochs > large.epochs


def test_every_ingredient_has_a_flag_and_a_setting() -> None:
    from flip.cli.app import group
    from flip.cli.config import settings_of

    flags = {parameter.name for parameter in group.commands["train"].params}
    names = {field.name for field in fields(TrainConfig)}
    assert names <= flags
    assert {("train", name) for name in names} <= set(dict(settings_of(group)))
