"""What every segmenter returns."""

import dataclasses
from typing import Any

import flax.struct


@flax.struct.dataclass
class SegmenterOutput:
    """Scores per pixel, and what else a loss or a picture needs.

    Attributes:
      logits: float32 `[b, h, w, k]` at the size of the images, whatever the compute type.
      auxiliary: name of a further prediction ("fcn", ...) to float32 logits `[b, h, w, k]` that a
        training loss weighs in; empty for networks without one.
      attention: name of a spatial attention map to float32 `[b, h, w, 1]` in (0, 1); empty for
        networks without attention.
    """

    # Not annotated as arrays: JAX rebuilds this tree around shapes, shardings and axes as well,
    # and the annotations are enforced in tests.
    logits: Any
    auxiliary: dict[str, Any] = dataclasses.field(default_factory=dict)
    attention: dict[str, Any] = dataclasses.field(default_factory=dict)
