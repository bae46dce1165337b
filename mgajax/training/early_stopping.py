"""The criterion of the best checkpoint, and early stopping by it, whose state each checkpoint holds."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum


class Criterion(StrEnum):
    """The measure on the validation slices by which the best checkpoint is chosen and training stops.

    Never the weighted total of Eq. 6: that falls when only the log variances move.
    """

    CROSS_ENTROPY = "validation cross-entropy"
    """The lowest."""

    DICE = "validation Dice"
    """The highest, over the pixels of all slices; 0 where it is undefined. Among networks that find no
    lesion pixel, the lowest cross-entropy, which falls long before the first pixel is found."""

    def loss(self, values: Mapping[str, float]) -> float:
        """A value that is lower for a better network: the cross-entropy, or 1 − Dice, or
        1 + cross-entropy where Dice is 0."""
        if self is Criterion.CROSS_ENTROPY:
            return values["cross_entropy"]
        dice = values.get("dice", 0.0)
        return 1.0 - dice if dice > 0 else 1.0 + values["cross_entropy"]

    def finds_nothing(self, loss: float) -> bool:
        """Whether the segmenter with that loss finds no lesion yet."""
        return self is Criterion.DICE and loss >= 1.0

    def describe(self, loss: float) -> str:
        """`validation Dice 0.4321` of that loss."""
        if self is Criterion.CROSS_ENTROPY:
            return f"{self} {loss:.4f}"
        if self.finds_nothing(loss):
            return f"{self} 0, no lesion found yet (cross-entropy {loss - 1.0:.4f})"
        return f"{self} {1.0 - loss:.4f}"


@dataclass(frozen=True)
class EarlyStopping:
    """The best loss so far, and the epochs since.

    Attributes:
      patience: epochs without improvement that are still accepted; 0 never stops.
      best: the lowest loss so far, see `Criterion.loss`.
      best_step: the step at which it was reached.
      waited: epochs since then that count.
      last_step: of the last epoch.
    """

    patience: int
    best: float = math.inf
    best_step: int = -1
    waited: int = 0
    last_step: int = -1

    def update(self, loss: float, *, step: int, counts: bool = True) -> "EarlyStopping":
        """The state after an epoch.

        Args:
          loss: of the validation slices.
          step: at the epoch's end.
          counts: whether it uses up patience; epochs before the first lesion is found do not.
        """
        updated = replace(self, last_step=step)
        if loss < self.best:
            return replace(updated, best=loss, best_step=step, waited=0)
        return replace(updated, waited=self.waited + int(counts))

    @property
    def improved(self) -> bool:
        """Whether the last epoch was the best so far."""
        return self.best_step == self.last_step >= 0

    @property
    def stop(self) -> bool:
        """Whether patience is used up."""
        return 0 < self.patience <= self.waited

    def to_json(self) -> dict[str, float | int | None]:
        """Plain values for the checkpoint (infinity becomes None)."""
        values = asdict(self)
        return values | {"best": None if math.isinf(self.best) else self.best}

    @staticmethod
    def from_json(values: dict) -> "EarlyStopping":
        """The inverse of `to_json`."""
        best = math.inf if values["best"] is None else values["best"]
        return EarlyStopping(**(values | {"best": best}))
