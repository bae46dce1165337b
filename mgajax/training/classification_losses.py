"""The losses of the mask-guided classifier: attention (Eq. 4) and class (Eq. 5); see also `weighting`.

Pure functions of arrays. Each gives one value an example. The step sums them with the batch's weights
and divides by the count over all devices, so that any number of devices gives the gradient of one.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from mgajax.errors import ConfigError, nearest
from mgajax.models.resize import resize_masks

ATTENTION_LOSSES = ("mse", "l1")


def cross_entropy(logits: Float[Array, "b k"], labels: Int[Array, "b"]) -> Float[Array, "b"]:
    """Negative log-likelihood of the labels under softmax(logits), per example (paper Eq. 5)."""
    classes = jnp.arange(logits.shape[-1], dtype=labels.dtype)
    truth = labels[:, None] == classes[None, :]
    likelihoods = jnp.where(truth, jax.nn.log_softmax(logits, axis=-1), 0.0)
    return -jnp.sum(likelihoods, axis=-1)


def attention_loss(
    attention: Float[Array, "b h w 1"],
    masks: Float[Array, "b H W 1"],
    *,
    kind: str = "mse",
    resize: str = "area",
) -> Float[Array, "b"]:
    """How far an attention map is from the lesion mask, per example (paper Eq. 4).

    Args:
      attention: spatial attention in (0, 1).
      masks: lesion masks in [0, 1], of any size; resized to the attention's.
      kind: "mse" or "l1", averaged over pixels.
      resize: see `mgajax.models.resize.RESIZE_METHODS`.

    Raises:
      ConfigError: unknown `kind` or `resize`.

    Note:
      Eq. 4 prints ‖M − SA‖ without a square, while the text calls it a mean squared error three
      times: "mse" is the default. How the mask is resized is not stated; "area" is the default,
      since at 224 → 14 nearest and plain bilinear sampling lose most of a lesion 8 pixels wide.
    """
    if kind not in ATTENTION_LOSSES:
        raise ConfigError(f"attention loss {kind!r}: {nearest(kind, ATTENTION_LOSSES)}")
    size = (attention.shape[1], attention.shape[2])
    difference = attention - resize_masks(masks, size=size, method=resize)
    error = jnp.square(difference) if kind == "mse" else jnp.abs(difference)
    return jnp.mean(error, axis=(1, 2, 3))
