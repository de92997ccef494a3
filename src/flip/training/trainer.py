"""Train with one loop for every recipe. `Trainer.fit` yields an Epoch at a time; the command line draws.

A step over a batch of n costs three matrix products of n * |V| * r (see objectives.py); the rest stays small beside
them. Master weights, gradients and optimizer state are float32; the products take `precision`.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict, replace

import numpy as np
import torch
from torch import Tensor

from flip.arrays import Floats
from flip.device import flush_denormals, matmul_dtype
from flip.errors import FlipError, InputError
from flip.model.linear import FactorizedLogLinear, LogLinear, Model
from flip.training import distributed, initialization, objectives, training_data
from flip.training.progress import Epoch, Progress
from flip.training.recipes import Precision, TrainConfig

_PRECISIONS: dict[torch.dtype, Precision] = {torch.float32: "float32", torch.bfloat16: "bfloat16"}


class Trainer:
    """Train one model. `best` is the model of the best check so far, for the raw embedding.

    >>> import numpy as np
    >>> from flip import DevData, References, TrainConfig, Trainer, TrainingData
    >>> from flip.text.bow import bags_of_indices
    >>> word = np.arange(64) % 8
    >>> u = np.eye(8, dtype=np.float32)[word] + np.random.default_rng(0).normal(scale=0.1, size=(64, 8))
    >>> bags = bags_of_indices([i] for i in word)
    >>> dev = DevData((u,), References(bags, bags.sizes))
    >>> trainer = Trainer(TrainingData((u,), bags), dev, vocabulary_size=8, config=TrainConfig(rank=8))
    >>> for epoch in trainer.fit():
    ...     pass
    >>> bool(trainer.best_score > 0.9)
    True
    """

    def __init__(
        self,
        train: training_data.TrainingData,
        dev: training_data.DevData,
        vocabulary_size: int,
        config: TrainConfig | None = None,
        device: torch.device | str = "cpu",
        group: distributed.Group = distributed.ALONE,
    ) -> None:
        """Fit the whitening and initialise the factors.

        Args:
            train: n sentences to learn from.
            dev: sentences to check on.
            vocabulary_size: |V|; the bags of both hold words below it.
            config: the ingredients, by default the recipe `flip`; `self.config` has them filled in for the data.
            device: runs the computation.
            group: processes that train together; each makes a Trainer with the same data, and all run `fit`.

        Raises:
            FlipError: another process of the group ended.
        """
        started = time.perf_counter()
        flush_denormals()
        self.device, self.group, self.train, self.dev = torch.device(device), group, train, dev
        self.n, self.progress = len(train.bags), Progress()
        wanted = (config or TrainConfig()).resolved(self.n)
        # A probe, and sums whose order depends on the number of threads: one process decides for all.
        self.dtype = group.from_first(lambda: matmul_dtype(self.device, wanted.precision))
        self.config = config = replace(wanted, precision=_PRECISIONS[self.dtype])
        used = self._used(train.views)
        self.dev_views = [view for view, _ in self._used(dev.views)]
        bags = train.bags
        if config.targets == "presence":
            bags = replace(bags, counts=np.ones_like(bags.counts))
        self.whitening: initialization.Whitening = group.from_first(
            lambda: initialization.fit_whitening([u for u, _ in used], config.inputs, rows=train.whole)
        )
        A, b, B = initialization.initial_parameters(config, bags, vocabulary_size, train.views[0].shape[1])
        self.A, self.b, self.B = A.to(self.device), b.to(self.device), None if B is None else B.to(self.device)
        self.parameters = [self.A, self.b] if self.B is None else [self.A, self.b, self.B]
        group.copy_from_first_(self.parameters)
        on_b = config.weight_decay if config.is_paper else 0.0
        self.optimizer = torch.optim.AdamW(
            [{"params": [p], "weight_decay": on_b if p is self.b else config.weight_decay} for p in self.parameters],
            lr=self.config.lr,
            fused=True,
        )
        for p in self.parameters:
            p.grad = torch.zeros_like(p)
        assert config.batch_size is not None
        published = config.is_paper and not config.shuffle
        self.batches = training_data.Batches(
            used,
            bags,
            self.whitening,
            edges=training_data.published_edges(train.parts or (self.n,), config.batch_size)
            if published
            else training_data.batch_edges(self.n, config.batch_size),
            shuffle=config.shuffle,
            seed=config.seed,
            device=self.device,
            group=group,
        )
        natural = next((n for n in (train.natural, train.whole) if n is not None), self.n)
        self._shift = (
            training_data.shift_of_prior(bags, natural, vocabulary_size)
            if config.scale_bias and group.is_first
            else None
        )
        self.best: Model = self.model()
        self._setup_seconds = time.perf_counter() - started

    @property
    def epoch(self) -> int:
        """Passes done."""
        return self.progress.epoch

    @property
    def best_score(self) -> float:
        """Best value of the dev metric so far; -inf before the first check."""
        return self.progress.best_score

    def model(self) -> Model:
        """Return the current model for the raw embedding: whitening folded in, float32, on the CPU."""
        return deepcopy(self._folded())

    def _folded(self) -> Model:
        """Return the same model in the parameters' own memory if possible: the next step changes it."""
        A, b = self.A.cpu().numpy(), self.b.cpu().numpy()
        if self.B is not None:
            B, folded_b = self.whitening.fold(A, self.B.cpu().numpy(), b)
            return FactorizedLogLinear(A, B, folded_b)
        rank, d = self.config.rank, A.shape[1]
        if rank is None:
            W, folded_b = self.whitening.fold_full(A, b)
            return LogLinear(W, folded_b)
        # Q has orthonormal columns, so that (A Q^T)(Q C) = A C: the same model at the requested rank.
        Q = np.eye(d, dtype=np.float32) if rank == d else initialization.orthonormal(rank, d, self.config.seed)
        B, folded_b = self.whitening.fold(A, np.eye(d, dtype=np.float32), b)
        return FactorizedLogLinear(A if rank == d else A @ Q.T, Q @ B, folded_b)

    def fit(self, on_step: Callable[[int, int], None] | None = None) -> Iterator[Epoch]:
        """Yield one Epoch after each pass, until the last one or until dev stops gaining.

        Args:
            on_step: called with (steps done, steps in all) after each step.

        Raises:
            FlipError: the loss became NaN or infinite; `best` still holds the best model before.
        """
        config = self.config
        assert config.epochs is not None
        steps = len(self.batches)
        while self.progress.epoch < config.epochs and self.progress.checks_without_gain < config.last_check:
            started = time.perf_counter()
            losses = []
            for i, batch in enumerate(self.batches.of_pass(self.progress.epoch)):
                step = self.progress.epoch * steps + i
                lr = self._rate(step, steps * config.epochs)
                # The value costs a pass over the scores: every eighth step is enough for the log.
                loss = self._step(batch, lr, with_value=i % 8 == 0)
                if loss is not None:
                    losses.append(loss)
                    # Not on a GPU: it would have to be waited for.
                    if self.device.type == "cpu":
                        self._require_finite()
                if on_step:
                    on_step(step + 1, steps * config.epochs)
            loss_of_steps = torch.stack(losses)
            self.group.sum_([loss_of_steps])
            mean_loss = float(loss_of_steps.mean())
            self._require_finite(mean_loss)
            self.progress.epoch += 1
            due = self.progress.epoch % config.check_every == 0 or self.progress.epoch == config.epochs
            score, with_b, best = self._check() if due else (None, None, False)
            if self.progress.best_score == -math.inf:
                self.best = self.model()  # the best that is known, until the first check
            sparsity = float((self.A == 0).float().mean())
            seconds = time.perf_counter() - started + self._setup_seconds
            self._setup_seconds = 0.0
            yield Epoch(self.progress.epoch, config.epochs, mean_loss, score, with_b, best, lr, sparsity, seconds)

    def state(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Return the tensors and text that `restore` needs after the last complete epoch; `best` is not included."""
        tensors = {"A": self.A, "b": self.b} | ({} if self.B is None else {"B": self.B})
        for i, p in enumerate(self.parameters):
            tensors |= {f"adam.{i}.{key}": value for key, value in self.optimizer.state[p].items()}
        return {key: value.contiguous() for key, value in tensors.items()}, {
            "progress": json.dumps(asdict(self.progress))
        }

    def restore(self, tensors: dict[str, Tensor], metadata: dict[str, str], best: Model) -> None:
        """Restore a state; the following epochs equal those of an uninterrupted run.

        Raises:
            InputError: another version of flip wrote the state.
        """
        for key, value in (("A", self.A), ("b", self.b), ("B", self.B)):
            if value is not None:
                value.copy_(tensors[key])
        for i, p in enumerate(self.parameters):
            prefix = f"adam.{i}."
            self.optimizer.state[p] = {
                key.removeprefix(prefix): value.to(self.device)
                for key, value in tensors.items()
                if key.startswith(prefix)
            }
        try:
            self.progress = Progress(**json.loads(metadata["progress"]))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise InputError("another version of flip wrote this state", "start anew with --force") from error
        self.best = best

    def _used(self, views: Sequence[Floats]) -> list[tuple[Floats, float]]:
        """Return the views and their weights in L = alpha L(first) + (1 - alpha) L(second); drop those of weight 0."""
        if len(views) == 1:
            return [(views[0], 1.0)]
        first, second = views
        weighted = [(first, self.config.alpha), (second, 1 - self.config.alpha)]
        return [(view, weight) for view, weight in weighted if weight > 0]

    def _step(self, batch: training_data.Batch, lr: float, with_value: bool) -> Tensor | None:
        objective = objectives.OBJECTIVES[self.config.objective]
        scale = 1 / batch.n if self.config.reduction == "mean" else 1.0
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        for gradient in gradients:
            gradient.zero_()
        assert self.A.grad is not None and self.b.grad is not None
        total = None
        for u, weight in batch.views:
            h = u if self.B is None else u @ self.B.T
            grad = objectives.Gradients(self.A.grad, self.b.grad, None if self.B is None else torch.zeros_like(h))
            value = objective(h.to(self.dtype), self.A, self.b, batch.targets, grad, weight * scale, with_value)
            if self.B is not None:
                assert self.B.grad is not None and grad.H is not None
                self.B.grad.addmm_(grad.H.T, u)
            if value is not None:
                total = value if total is None else total + value
        self.group.sum_(gradients)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        if self.config.l1:
            soft_threshold_(self.A, lr * self.config.l1)
        return None if total is None else total / (scale * batch.n)

    def _rate(self, step: int, steps: int) -> float:
        config = self.config
        warm_up = math.floor(config.warm_up * steps)
        if step < warm_up:
            return config.lr * (step + 1) / warm_up
        if config.schedule == "plateau":
            return config.lr * self.progress.lr_scale
        return config.lr * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))

    def _require_finite(self, loss: float = 0.0) -> None:
        # The gradients are summed over all processes, so that in each of them b is the same.
        if not math.isfinite(loss) or not torch.isfinite(self.b).all():
            raise FlipError(
                f"training diverged in epoch {self.progress.epoch + 1}: the loss is no longer finite",
                "complete epochs are kept; start anew with a lower --lr",
            )

    def _check(self) -> tuple[float, float, bool]:
        """Return score and accuracy of the current model on dev, and whether it is the best so far; keep the best."""
        model = self._checked_model()
        score, with_b = self.group.from_first(lambda: self._dev_scores(model))
        best = self.progress.checked(score, self.config.patience)
        if best:
            self.best = deepcopy(model)
        return score, with_b, best

    def _checked_model(self) -> Model:
        """Return the model to check and keep, in the first process; the others need only its score."""
        if not self.group.is_first:
            return self.best
        model = self._folded()
        if not self.config.scale_bias:
            return model
        b = training_data.fitted_bias(model, self.dev_views, self.dev.references.words, self._shift, str(self.device))
        return model.rescaled(1.0, b)

    def _dev_scores(self, model: Model) -> tuple[float, float]:
        words, device = self.dev.references.words, str(self.device)
        with_b = training_data.dev_accuracy(model, self.dev_views, words, device)
        if self.config.dev_metric == "accuracy":
            return with_b, with_b
        return training_data.dev_recall(model, self.dev_views, words, device), with_b


def soft_threshold_(A: Tensor, threshold: float) -> None:
    """Take a proximal step of the L1 norm, in place: entries within `threshold` of zero become exactly zero."""
    for start in range(0, len(A), 8192):
        block = A[start : start + 8192]
        block.copy_(torch.nn.functional.softshrink(block, threshold))
