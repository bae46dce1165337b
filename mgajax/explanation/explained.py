"""What explaining one or more runs gives."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from mgajax.explanation.methods import Maps, Method
from mgajax.explanation.slices import Slices


@dataclasses.dataclass(frozen=True, eq=False)
class Explained:
    """One method's maps of one model.

    Attributes:
      model: what the run is called.
      method: how the maps were made.
      maps: of all slices.
      seconds: a slice took, on average.
      compiled: whether `seconds` is without compilation: there was more than one batch.
    """

    model: str
    method: Method
    maps: Maps
    seconds: float
    compiled: bool


@dataclasses.dataclass(frozen=True, eq=False)
class Explanation:
    """What `explain_runs` gives.

    Attributes:
      slices: what was explained.
      targets: by model, the explained class of each slice.
      probabilities: by model, `[n, k]`.
      results: of each model and method.
      files: what was written, the page last.
    """

    slices: Slices
    targets: Mapping[str, Int[np.ndarray, "n"]]
    probabilities: Mapping[str, Float[np.ndarray, "n k"]]
    results: Sequence[Explained]
    files: Sequence[Path] = ()
