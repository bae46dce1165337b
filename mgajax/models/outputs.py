"""What networks return, and which of a classifier's attention maps is shown."""

import dataclasses
from collections.abc import Collection
from typing import Any

import flax.struct


# Fields are not annotated as arrays: JAX rebuilds these trees around shapes, shardings and axes as
# well, and annotations are enforced in tests.
@flax.struct.dataclass
class ClassifierOutput:
    """What every classifier returns.

    Attributes:
      logits: float32 `[b, k]` (float64 under the compute type float64).
      attention: name of a spatial attention map ("stage1", ...) to float32 `[b, h, w, 1]` in
        (0, 1); empty for networks without attention.
      guided: the name of the map that the lesion masks supervise (paper Eq. 4); None if none is.
      lungs: the name of the map that masks of the lungs supervise (paper §7); None if none is.
    """

    logits: Any
    attention: dict[str, Any]
    guided: str | None = flax.struct.field(pytree_node=False, default=None)
    lungs: str | None = flax.struct.field(pytree_node=False, default=None)

    @property
    def shown_attention(self) -> Any:
        """`[b, h, w]` of the map that is shown and scored, see `shown_map`; None if there is none."""
        if not self.attention:
            return None
        return self.attention[shown_map(self.attention, guided=self.guided)][..., 0]


@flax.struct.dataclass
class SegmenterOutput:
    """What every segmenter returns.

    Attributes:
      logits: float32 `[b, h, w, k]` at the size of the images, whatever the compute type.
      auxiliary: name of a further prediction ("fcn", ...) to float32 logits `[b, h, w, k]` that a
        training loss may include; empty for networks without one.
      attention: name of a spatial attention map to float32 `[b, h, w, 1]` in (0, 1); empty for
        networks without attention.
    """

    logits: Any
    auxiliary: dict[str, Any] = dataclasses.field(default_factory=dict)
    attention: dict[str, Any] = dataclasses.field(default_factory=dict)


def shown_map(names: Collection[str], *, guided: str | None) -> str:
    """The name of the map that is shown and scored: the one that lesions guide, else the last.

    Args:
      names: of a network's maps, one or more: "stage1", "stage2", ...
      guided: the name of the map that lesion masks supervise, if any.
    """
    return guided if guided is not None and guided in names else max(names)


def has_attention(model: Any) -> bool:
    """Whether a network has attention maps of its own."""
    plan = getattr(model, "plan", None)
    return plan is not None and bool(plan.stages)
