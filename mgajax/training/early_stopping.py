"""What the best checkpoint is, and early stopping on it; a value that travels in the checkpoint."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum


class Criterion(StrEnum):
    """By what of the validation slices a run is watched, and its best checkpoint chosen.

    Never the weighted total of Eq. 6: that falls when only the log variances move.
    """

    CROSS_ENTROPY = "validation cross-entropy"
    """The lowest."""

    DICE = "validation Dice"
    """The highest, of the pixels of all slices pooled; 0 where it is undefined. Among networks that
    find no lesion pixel at all, the lowest cross-entropy: it falls long before the first is found."""

    def loss(self, values: Mapping[str, float]) -> float:
        """What falls as the run gets better: the cross-entropy; of Dice 1 − Dice, and where that is 0
        1 + cross-entropy."""
        if self is Criterion.CROSS_ENTROPY:
            return values["cross_entropy"]
        dice = values.get("dice", 0.0)
        return 1.0 - dice if dice > 0 else 1.0 + values["cross_entropy"]

    def finds_nothing(self, loss: float) -> bool:
        """Whether that loss is of a segmenter that finds no lesion yet."""
        return self is Criterion.DICE and loss >= 1.0

    def written(self, loss: float) -> str:
        """`validation Dice 0.4321` of that loss."""
        if self is Criterion.CROSS_ENTROPY:
            return f"{self} {loss:.4f}"
        if self.finds_nothing(loss):
            return f"{self} 0, no lesion found yet (cross-entropy {loss - 1.0:.4f})"
        return f"{self} {1.0 - loss:.4f}"


@dataclass(frozen=True)
class EarlyStopping:
    """What has been seen so far.

    Attributes:
      patience: epochs without improvement that are still accepted; 0 never stops.
      best: the lowest loss so far, a `Criterion`'s.
      best_step: the step at which it was reached.
      waited: epochs since then, without those that do not count.
      last_step: of the last epoch.
    """

    patience: int
    best: float = math.inf
    best_step: int = -1
    waited: int = 0
    last_step: int = -1

    def after(self, loss: float, *, step: int, counts: bool = True) -> "EarlyStopping":
        """The state after an epoch.

        Args:
          loss: of the validation slices.
          step: at the epoch's end.
          counts: whether it uses up patience, as an epoch before the first lesion found does not.
        """
        seen = replace(self, last_step=step)
        if loss < self.best:
            return replace(seen, best=loss, best_step=step, waited=0)
        return replace(seen, waited=self.waited + int(counts))

    @property
    def improved(self) -> bool:
        """The last epoch was the best so far."""
        return self.best_step == self.last_step >= 0

    @property
    def stop(self) -> bool:
        """Patience is at its end."""
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
