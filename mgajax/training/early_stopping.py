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
    """The highest, of the pixels of all slices pooled; 0 where it is undefined."""

    def loss(self, values: Mapping[str, float]) -> float:
        """What falls as the run gets better: the cross-entropy, or 1 − Dice."""
        if self is Criterion.DICE:
            return 1.0 - values.get("dice", 0.0)
        return values["cross_entropy"]

    def written(self, loss: float) -> str:
        """`validation Dice 0.4321` of that loss."""
        return f"{self} {1.0 - loss if self is Criterion.DICE else loss:.4f}"


@dataclass(frozen=True)
class EarlyStopping:
    """What has been seen so far.

    Attributes:
      patience: epochs without improvement that are still accepted; 0 never stops.
      best: the lowest loss so far, a `Criterion`'s.
      best_step: the step at which it was reached.
      waited: epochs since then.
    """

    patience: int
    best: float = math.inf
    best_step: int = -1
    waited: int = 0

    def after(self, loss: float, *, step: int) -> "EarlyStopping":
        """The state after an epoch whose validation loss is `loss`."""
        if loss < self.best:
            return replace(self, best=loss, best_step=step, waited=0)
        return replace(self, waited=self.waited + 1)

    @property
    def improved(self) -> bool:
        """The last epoch was the best so far."""
        return self.waited == 0 and self.best_step >= 0

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
