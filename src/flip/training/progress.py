"""Progress of a training: the result of each pass, and the state between passes."""

import math
from dataclasses import asdict, dataclass

from flip.files import Fields


@dataclass(frozen=True)
class Epoch:
    """Result of one pass over the data.

    loss: mean loss of a sentence, over every eighth step.
    score, accuracy: the dev metric, and accuracy with b, on dev (the mean of both embeddings); None without a check.
    seconds: of the pass and its check; the first pass includes the construction of the Trainer.
    """

    epoch: int
    epochs: int
    loss: float
    score: float | None
    accuracy: float | None
    best: bool
    lr: float
    sparsity: float
    seconds: float

    def to_dict(self) -> Fields:
        """Return a line of log.jsonl."""
        return asdict(self)


@dataclass
class Progress:
    """State that changes from epoch to epoch, without the tensors.

    epoch: passes done.
    best_score: of the dev metric.
    checks_without_gain: since the best score.
    lr_scale: factor of the learning rate, set by the plateau schedule.
    plateau_score, checks_on_plateau: the last score that the schedule counted as a gain, and the checks since.
    """

    epoch: int = 0
    best_score: float = -math.inf
    checks_without_gain: int = 0
    lr_scale: float = 1.0
    plateau_score: float = -math.inf
    checks_on_plateau: int = 0

    def checked(self, score: float, patience: int) -> bool:
        """Record a check; return whether its score is the best so far.

        The rate is lowered as by torch's ReduceLROnPlateau with patience // 2: a gain must exceed a ten-thousandth of
        the best score.
        """
        best = score > self.best_score
        if best:
            self.best_score, self.checks_without_gain = score, 0
        else:
            self.checks_without_gain += 1
        if score > self.plateau_score * (1 + 1e-4):
            self.plateau_score, self.checks_on_plateau = score, 0
        else:
            self.checks_on_plateau += 1
        if self.checks_on_plateau > patience // 2:
            self.lr_scale, self.checks_on_plateau = self.lr_scale / 2, 0
        return best
