"""Random flips, rotations, scales, shifts and grey-level changes, on the device, by key.

Each example has a key of its own, so the numbers do not depend on how a batch is spread over
devices. Geometry is one bilinear sampling per example, shared by image and lesion mask.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, Key

from mgajax.config.schema import AugmentationSettings
from mgajax.data.line_sampling import from_centre, sample_by_lines
from mgajax.data.loader import IMAGE_MEAN, IMAGE_STD
from mgajax.errors import ConfigError

HALF_GREY_LEVEL: float = 0.5 / 255.0
"""A pixel below this is removed background, which is not exactly 0 after rounding."""

Images = Float[Array, "b h w 1"]
Masks = Float[Array, "b h w m"]


@dataclasses.dataclass(frozen=True)
class Augmentation(AugmentationSettings):
    """How much training examples are varied, within limits; 0 switches a variation off.

    The paper does not describe its augmentation; these are small, anatomically plausible changes.
    Angles, factors and shifts are drawn from both sides; contrast is an S-curve that keeps black,
    mid-grey and white, and noise is Gaussian, on the foreground.
    """

    def __post_init__(self) -> None:
        limits = {"flip": 1.0, "rotation_degrees": 180.0, "scale": 0.9, "translate": 1.0}
        limits |= {"brightness": 1.0, "contrast": 1.0, "gamma": 10.0, "noise": 1.0}
        for name, limit in limits.items():
            value = getattr(self, name)
            if not 0.0 <= value <= limit:
                raise ConfigError(f"augmentation.{name}={value}: expected 0 (off) to {limit}")


def example_keys(
    *, seed: int, step: Int[Array, ""] | int, positions: Int[Array, "b"]
) -> Key[Array, "b"]:
    """One key an example, from the seed, the step and the example's place in the global batch."""
    key = jax.random.fold_in(jax.random.key(seed), step)
    return jax.vmap(lambda position: jax.random.fold_in(key, position))(positions)


def augment(
    keys: Key[Array, "b"], images: Images, masks: Masks, *, settings: Augmentation
) -> tuple[Images, Masks]:
    """Vary each example by its key.

    Args:
      keys: typed PRNG keys, one an example (`example_keys`).
      images: float32 as standardised by `to_float`.
      masks: float32 in [0, 1], of lesions, lungs; only the geometry changes them.
      settings: static under jit.

    Returns:
      Images and masks of the same form. Pixels from outside the frame are background (grey level 0,
      no lesion). With all amounts 0 the inputs are returned as they are.
    """
    streams = jax.vmap(jax.random.split)(keys)
    if _moves(settings) or _recolours(settings):
        grey = images * jnp.float32(IMAGE_STD) + jnp.float32(IMAGE_MEAN)
        if _moves(settings):
            matrices = jax.vmap(lambda key: _draw_affine(key, images.shape[1:3], settings))
            grey, masks = _resample(matrices(streams[:, 0]), grey, masks, settings)
        if _recolours(settings):
            grey = jax.vmap(lambda key, image: _recolour(key, image, settings))(streams[:, 1], grey)
        images = (grey - jnp.float32(IMAGE_MEAN)) / jnp.float32(IMAGE_STD)
    return images, masks


def _moves(settings: Augmentation) -> bool:
    return any((settings.flip, settings.rotation_degrees, settings.scale, settings.translate))


def _recolours(settings: Augmentation) -> bool:
    return any((settings.brightness, settings.contrast, settings.gamma, settings.noise))


def _draw_affine(
    key: Key[Array, ""], shape: tuple[int, ...], settings: Augmentation
) -> Float[Array, "2 3"]:
    """Matrix from output (y, x) to input (y, x), both in pixels from the picture's centre."""
    mirror, turn, zoom, down, right = jax.random.uniform(key, (5,), minval=-1.0, maxval=1.0)
    angle = turn * jnp.float32(math.radians(settings.rotation_degrees))
    sign = jnp.where(mirror < 2.0 * settings.flip - 1.0, jnp.float32(-1.0), jnp.float32(1.0))
    factor = jnp.float32(1.0) / (1.0 + zoom * settings.scale)
    cosine, sine = factor * jnp.cos(angle), factor * jnp.sin(angle)
    offset_y = down * (settings.translate * shape[0])
    offset_x = right * (settings.translate * shape[1])
    rows = ((cosine, sine * sign, offset_y), (-sine, cosine * sign, offset_x))
    return jnp.stack([jnp.stack(row) for row in rows])


def _resample(
    matrices: Float[Array, "b 2 3"], grey: Images, masks: Masks, settings: Augmentation
) -> tuple[Images, Masks]:
    """Sample image and mask at the same points; 0 outside the frame.

    Each point is interpolated from four gathered neighbours. On a CPU 32 pairs of 224 x 224 take about
    0.08 s of one core, a hundredth of a ResNet18 training step. A TPU gathers single pixels very
    slowly, so it has `sample_by_lines`.
    """
    pairs = jnp.concatenate([grey, masks], axis=-1)
    by_lines = jax.vmap(functools.partial(sample_by_lines, settings=settings))
    moved = lax.platform_dependent(pairs, matrices, tpu=by_lines, default=jax.vmap(_sample))
    return moved[..., :1], moved[..., 1:]


def _sample(pixels: Float[Array, "h w c"], matrix: Float[Array, "2 3"]) -> Float[Array, "h w c"]:
    height, width, channels = pixels.shape
    centre_y, centre_x = (height - 1) / 2.0, (width - 1) / 2.0
    y, x = from_centre(height)[:, None], from_centre(width)[None, :]
    (yy, yx, y0), (xy, xx, x0) = matrix
    # One ring of background around the frame: every clipped point lies within it.
    source_y = jnp.clip(yy * y + yx * x + (y0 + centre_y), -1.0, float(height)) + 1.0
    source_x = jnp.clip(xy * y + xx * x + (x0 + centre_x), -1.0, float(width)) + 1.0
    top = jnp.minimum(jnp.floor(source_y), float(height))
    left = jnp.minimum(jnp.floor(source_x), float(width))
    down, right = (source_y - top)[..., None], (source_x - left)[..., None]
    stride = width + 2
    flat = jnp.pad(pixels, ((1, 1), (1, 1), (0, 0))).reshape(-1, channels)
    corner = (top * stride + left).astype(jnp.int32)

    def at(offset: int) -> Float[Array, "h w c"]:
        return flat.at[corner + offset].get(mode="promise_in_bounds")

    upper = (1.0 - right) * at(0) + right * at(1)
    lower = (1.0 - right) * at(stride) + right * at(stride + 1)
    return (1.0 - down) * upper + down * lower


def _recolour(
    key: Key[Array, ""], grey: Float[Array, "h w 1"], settings: Augmentation
) -> Float[Array, "h w 1"]:
    """Gamma, S-curve, gain and noise on grey levels in [0, 1]; 0, the background, stays 0."""
    curve_key, noise_key = jax.random.split(key)
    bend, steepness, gain = jax.random.uniform(curve_key, (3,), minval=-1.0, maxval=1.0)
    level = jnp.where(grey < HALF_GREY_LEVEL, 0.0, grey)
    if settings.gamma:
        exponent = jnp.exp(bend * math.log1p(settings.gamma))
        level = level**exponent
    if settings.contrast:
        swing = level * (1.0 - level) * (2.0 * level - 1.0)
        level = level + settings.contrast * steepness * swing
    if settings.brightness:
        level = level * (1.0 + settings.brightness * gain)
    if settings.noise:
        noise = settings.noise * jax.random.normal(noise_key, level.shape, level.dtype)
        level = jnp.where(level > 0.0, level + noise, 0.0)
    return jnp.clip(level, 0.0, 1.0)
