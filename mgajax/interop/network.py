"""A trained network with its weights: every format of export is made from it and compared with it."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
import numpy as np
from jaxtyping import Array, Float

from mgajax import models

INPUT = "images"

OutputFunction: TypeAlias = Callable[[np.ndarray], dict[str, np.ndarray]]
"""Images, float32 [b, h, w, c], to the outputs that `Network.outputs` names."""

_IN_TRAINING_ONLY = {"repeats": "unrolled", "remat": "none"}
"""Options that shape the training program and not the network."""


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """A network with its weights.

    Attributes:
      name: a network's name (`mgajax.models.names()`).
      options: its options.
      num_classes: number of logits.
      image_size: side of its images in pixels.
      channels: of its images.
      variables: `{"params", "batch_stats"}`, float32 numpy leaves.
      metadata: JSON values that go with the weights into every file.
    """

    name: str
    options: Mapping[str, Any]
    num_classes: int
    image_size: int
    channels: int
    variables: dict[str, Any]
    metadata: dict[str, Any]

    @functools.cached_property
    def model(self) -> Any:
        """The Flax module; it computes in float32 whatever it was trained in."""
        options = models.options(self.name)
        fixed = {key: value for key, value in _IN_TRAINING_ONLY.items() if key in options}
        model: Any = models.create(
            self.name, num_classes=self.num_classes, **{**self.options, **fixed}
        )
        return model

    def outputs(
        self, variables: Mapping[str, Any], images: Float[Array, "b h w c"]
    ) -> dict[str, Array]:
        """The network's outputs by name; traceable.

        Returns:
          "logits" and "probabilities" [b, k], or [b, h, w, k] of a segmenter, and "attention_..."
          [b, h, w, 1] for each attention map.
        """
        out: Any = self.model.apply(variables, images, train=False)
        maps = {f"attention_{name}": attention for name, attention in out.attention.items()}
        probabilities = jax.nn.softmax(out.logits, axis=-1)
        return {"logits": out.logits, "probabilities": probabilities, **maps}

    @functools.cached_property
    def _compiled(self) -> Any:
        return jax.jit(self.outputs)

    def answer(self, variables: Mapping[str, Any]) -> OutputFunction:
        """`outputs` with variables of these shapes, on the host."""
        return lambda images: jax.device_get(self._compiled(variables, images))

    @property
    def may_tie(self) -> bool:
        """Rounding may change an output visibly, where two values nearly tie for a place.

        SegNet puts each value back where its window had the maximum (Badrinarayanan et al. 2017).
        """
        return self.name == "segnet"
