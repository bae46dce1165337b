"""The losses of the segmenters, over the pixels whose class is known.

Pure functions of arrays. Each gives one value and one weight an image. The step takes
Σ weight · value / (Σ weight + offset) over all devices, so that any number of devices gives the loss
of one, whichever device has the known pixels. They compute in the type of the logits, float32 in
training.

With HMSANet's outputs (main, the OCR head's, each scale's own; Tao et al. 2020), weight w of the
scales' own logits (0, or 0.05), the totals of NVIDIA's training are

    cross-entropy: CE(main) + 0.4 CE(ocr) + w CE(scale_0.5) + w CE(scale_1.0)
    with RMI:      ½ BCE(main) + ½ RMI(main) + 0.4 BCE(ocr) + w BCE(scale_0.5) + w BCE(scale_1.0)

where the offset is `BINARY_OFFSET` for BCE and 0 for the others.
"""

import itertools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from mgajax.errors import ConfigError

IGNORE = 255
"""The class of a pixel that is left out of every loss."""
LESION = 1
"""The class of lesion; 0 is everything else."""
BINARY_OFFSET = 1.0
"""Added to the count of pixels that divides the binary cross-entropy (NVIDIA's reduction)."""

TINY = 1e-6
"""The least divisor."""

RMI_POOLING = 4
RMI_REACH = 3
RMI_RIDGE = 5e-4
RMI_FLOOR = 1e-6


def lesion_targets(masks: Float[Array, "b h w 1"], known: Float[Array, "b"]) -> Int[Array, "b h w"]:
    """The class of every pixel: `LESION` where at least half of it is lesion, 0, or `IGNORE`.

    Args:
      masks: share of each pixel that is lesion, in [0, 1].
      known: above 0 where the image has a mask; all pixels of the other images are ignored.

    Returns:
      int32.
    """
    lesion = (masks[..., 0] >= 0.5).astype(jnp.int32)
    return jnp.where(known[:, None, None] > 0, lesion, jnp.int32(IGNORE))


def pixel_cross_entropy(
    logits: Float[Array, "b h w k"], targets: Int[Array, "b h w"]
) -> tuple[Float[Array, "b"], Float[Array, "b"]]:
    """Negative log-likelihood of the pixels' classes under softmax(logits).

    Args:
      logits: k classes.
      targets: classes from 0 to k − 1, or `IGNORE`.

    Returns:
      The mean over each image's known pixels, and their number; 0 and 0 where none is known.
    """
    truth, known = _one_hot(targets, like=logits)
    likelihoods = jnp.sum(jnp.where(truth, jax.nn.log_softmax(logits, axis=-1), 0.0), axis=-1)
    return _known_mean(-likelihoods, known)


def pixel_binary_cross_entropy(
    logits: Float[Array, "b h w k"], targets: Int[Array, "b h w"]
) -> tuple[Float[Array, "b"], Float[Array, "b"]]:
    """Binary cross-entropy of sigmoid(logits) with each class against the rest, summed over classes.

    As in the RMI loss of NVIDIA's semantic-segmentation, which divides by one pixel more than there
    are: reduce it with the offset `BINARY_OFFSET`.

    Args:
      logits: k classes, each on its own.
      targets: classes from 0 to k − 1, or `IGNORE`.

    Returns:
      The mean over each image's known pixels, and their number; 0 and 0 where none is known.
    """
    truth, known = _one_hot(targets, like=logits)
    errors = jax.nn.softplus(jnp.where(truth, -logits, logits))
    return _known_mean(jnp.sum(errors, axis=-1), known)


def soft_dice(
    logits: Float[Array, "b h w k"], targets: Int[Array, "b h w"]
) -> tuple[Float[Array, "b"], Float[Array, "b"]]:
    """1 − Dice of the lesion's probabilities against its pixels (Milletari et al. 2016, sums unsquared).

    Every pixel of lesion counts against all that were said to be: what is rare is not lost among
    what is not.

    Returns:
      1 − 2 Σ p t / Σ (p + t) over each image's known pixels, and that divisor, so that the weighted
      mean of a batch is its pooled loss. The divisor depends on the logits: reduce it as a ratio.
    """
    known = targets != IGNORE
    actual = (known & (targets == LESION)).astype(logits.dtype)
    likely = jnp.where(known, lesion_probability(logits), 0.0)
    both, either = (jnp.sum(x, axis=(1, 2)) for x in (likely * actual, likely + actual))
    return 1.0 - 2.0 * both / jnp.maximum(either, TINY), either


def rmi(
    logits: Float[Array, "b h w k"], targets: Int[Array, "b h w"]
) -> tuple[Float[Array, "b"], Float[Array, "b"]]:
    """Region mutual information loss: the uncertainty of the truth's 3×3 regions, given the prediction.

    Zhao et al. 2019 with NVIDIA's numbers: sigmoid probabilities (+1e-6), unknown pixels 0, average
    pooling 4×4 with padding 2; then each class's neighbourhoods are points in nine dimensions, of
    truth (L) and prediction (P), and the loss is ½ log det(Σ_LL − Σ_LP (Σ_PP + εI)⁻¹ Σ_PL + εI) / 9,
    summed over classes, with Σ sums over the neighbourhoods (not means) and ε = 5e-4.

    The reference needs float64 for it: next to Σ, which grows with the image, ε is below float32's
    rounding. Here Σ is never formed. The matrix in the determinant is R₂₂ᵀ R₂₂ of the triangular
    factor R of the rows [P, L] with √ε I below them, and a QR factorisation meets only the square root
    of the condition number.

    Returns:
      One value an image (it may be negative), and 1; 0 and 0 for an image without a known pixel,
      which the reference counts as a constant, of almost no gradient.

    Raises:
      ConfigError: the images are too small for one neighbourhood.
    """
    if min(logits.shape[1:3]) < RMI_POOLING * (RMI_REACH - 1):
        raise ConfigError(
            f"rmi: images of {logits.shape[1]}×{logits.shape[2]} pixels have no 3×3 neighbourhood "
            f"after pooling; use at least {RMI_POOLING * (RMI_REACH - 1)} pixels a side"
        )
    truth, known = _one_hot(targets, like=logits)
    probabilities = jnp.where(known[..., None], jax.nn.sigmoid(logits), 0.0) + RMI_FLOOR
    predicted, actual = (
        _neighbourhoods(_pool(x)) for x in (probabilities, truth.astype(logits.dtype))
    )
    points = jnp.concatenate((predicted, actual), axis=-1)
    ridge = jnp.eye(points.shape[-1], dtype=points.dtype) * RMI_RIDGE**0.5
    ridge = jnp.broadcast_to(ridge, (*points.shape[:2], *ridge.shape))
    with jax.default_matmul_precision("highest"):
        _, triangle = jnp.linalg.qr(jnp.concatenate((points, ridge), axis=2))
    conditional = jnp.diagonal(triangle, axis1=-2, axis2=-1)[..., RMI_REACH**2 :]
    values = jnp.sum(jnp.log(jnp.abs(conditional)), axis=(1, 2)) / RMI_REACH**2
    present = jnp.any(known, axis=(1, 2))
    return jnp.where(present, values, 0.0), present.astype(values.dtype)


def lesion_probability(logits: Float[Array, "b h w k"]) -> Float[Array, "b h w"]:
    """Each pixel's probability of lesion: its share of softmax(logits)."""
    return jax.nn.softmax(logits, axis=-1)[..., LESION]


def lesion_dice(
    logits: Float[Array, "b h w k"], targets: Int[Array, "b h w"]
) -> tuple[Float[Array, "b"], Float[Array, "b"]]:
    """Dice coefficient of the lesion pixels, predicted where softmax(logits) gives them half or more.

    Returns:
      2 TP / (2 TP + FP + FN) of each image and that divisor, so that the weighted mean of a batch is
      its pooled Dice; 0 and 0 where truth and prediction are both empty, or nothing is known.
    """
    known = targets != IGNORE
    actual = known & (targets == LESION)
    predicted = known & (lesion_probability(logits) >= 0.5)
    intersection, union = (
        jnp.sum(region, axis=(1, 2), dtype=logits.dtype)
        for region in (actual & predicted, actual | predicted)
    )
    divisor = intersection + union
    return 2.0 * intersection / jnp.maximum(divisor, 1.0), divisor


def _one_hot(targets: Array, *, like: Array) -> tuple[Array, Array]:
    """Whether each pixel is of each class [b, h, w, k], and whether it is known [b, h, w]."""
    known = targets != IGNORE
    classes = jnp.arange(like.shape[-1], dtype=targets.dtype)[None, None, None, :]
    return known[..., None] & (targets[..., None] == classes), known


def _known_mean(values: Array, known: Array) -> tuple[Array, Array]:
    """The mean over the known pixels of each image, and their number."""
    count = jnp.sum(known, axis=(1, 2), dtype=values.dtype)
    return jnp.sum(jnp.where(known, values, 0.0), axis=(1, 2)) / jnp.maximum(count, 1.0), count


def _pool(x: Array) -> Array:
    """Average pooling, windows and stride 4, padding 2 with zeros that count."""
    rows, columns = (side // RMI_POOLING + 1 for side in x.shape[1:3])
    half = (RMI_POOLING // 2,) * 2
    x = jnp.pad(x, ((0, 0), half, half, (0, 0)))[:, : RMI_POOLING * rows, : RMI_POOLING * columns]
    windows = x.reshape(x.shape[0], rows, RMI_POOLING, columns, RMI_POOLING, x.shape[-1])
    return jnp.mean(windows, axis=(2, 4))


def _neighbourhoods(x: Array) -> Array:
    """Each class's centred 3×3 neighbourhoods: [b, h, w, k] to [b, k, n, 9]."""
    rows, columns = (side - RMI_REACH + 1 for side in x.shape[1:3])
    shifted = [
        x[:, top : top + rows, left : left + columns]
        for top, left in itertools.product(range(RMI_REACH), repeat=2)
    ]
    points = jnp.stack(shifted, axis=-1).reshape(x.shape[0], rows * columns, x.shape[-1], -1)
    points = points.transpose(0, 2, 1, 3)
    return points - jnp.mean(points, axis=2, keepdims=True)
