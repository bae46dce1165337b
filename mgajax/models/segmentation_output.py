"""What every segmenter returns."""

from typing import Any

import flax.struct


@flax.struct.dataclass
class SegmenterOutput:
    """Logits at the images' size, and what the loss needs besides.

    Attributes:
      logits: float32 `[b, h, w, k]`, whatever the compute type.
      auxiliary: name to further float32 logits `[b, h, w, k]` that the loss may weigh; {} when the
        network has none.
      attention: name to float32 maps `[b, h', w', 1]` in (0, 1); {} when the network has none.
    """

    # Not annotated as arrays: JAX rebuilds this tree around shapes, shardings and axes as well,
    # and the annotations are enforced in tests.
    logits: Any
    auxiliary: dict[str, Any]
    attention: dict[str, Any]
