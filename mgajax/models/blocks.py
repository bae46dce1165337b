"""Layers that several networks share: convolution, dropout, maxima, a classifier's stem and head.

Padding is always explicit: with stride 2 and even sizes, "SAME" pads on the other side than the
public PyTorch definitions do, and their weights would not fit. Layout is NHWC.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mgajax.errors import ConfigError, nearest
from mgajax.models import image_pairs
from mgajax.models.batch_norm import BatchNorm
from mgajax.models.convolution import convolve
from mgajax.models.pooling import max_pool_3x3
from mgajax.models.precision import DTYPES, wide_type


class Dropout(nn.Module):
    """Dropout with one key an image, so that the result does not depend on the number of devices.

    Flax's own draws one mask for the batch of a device, the same on every device under pmap.

    Attributes:
      rate: share that is dropped in training; the rest is scaled by 1 / (1 − rate).
      unit: "element", or "channel" for whole channels of an image (PyTorch's `Dropout2d`).
      axis_name: mapped axis of the devices, for an image's position in the global batch.
    """

    rate: float
    unit: str = "element"
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b h w c"]:
        """Drop in training; needs `rngs={"dropout": key}` then, unless the rate is 0."""
        if not train or self.rate == 0.0:
            return x
        local = x.shape[0]
        first = 0 if self.axis_name is None else lax.axis_index(self.axis_name) * local
        positions = first + jnp.arange(local, dtype=jnp.int32)
        keys = jax.vmap(functools.partial(jax.random.fold_in, self.make_rng("dropout")))(positions)
        shape = x.shape[1:] if self.unit == "element" else (1, 1, x.shape[3])
        keep = jax.vmap(lambda key: jax.random.bernoulli(key, 1.0 - self.rate, shape))(keys)
        scaled = x / jnp.asarray(1.0 - self.rate, x.dtype)
        return jnp.where(keep, scaled, jnp.zeros((), x.dtype))


@dataclasses.dataclass(frozen=True)
class Layers:
    """Makes the layers of one network, all with the same settings.

    Attributes:
      dtype: compute type, one of `DTYPES`; parameters and statistics stay float32.
      axis_name: see `BatchNorm`.
      convolution: the function of its convolutions, like `lax.conv_general_dilated`.
      paired: on a TPU, maps of 33 to 64 channels lie in pairs of images (`image_pairs`); faster where
        all layers between them know this form.
    """

    dtype: str = "float32"
    axis_name: str | None = None
    convolution: Callable[..., Array] = convolve
    paired: bool = False

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ConfigError(f"dtype={self.dtype!r}: {nearest(str(self.dtype), DTYPES)}")
        if self.dtype == "float64" and not jax.config.read("jax_enable_x64"):
            raise ConfigError(
                "dtype='float64' is for checks: needs jax_enable_x64 (JAX_ENABLE_X64=true)"
            )

    @property
    def wide(self) -> str:
        """The type of logits, softmax and attention, which must not be rounded."""
        return wide_type(self.dtype)

    @property
    def in_pairs(self) -> "Layers":
        """The same layers, `paired`."""
        return dataclasses.replace(self, convolution=image_pairs.convolve, paired=True)

    def conv(
        self,
        features: int,
        *,
        kernel: int,
        stride: int = 1,
        dilation: int = 1,
        bias: bool = False,
        name: str,
    ) -> nn.Conv:
        """A square convolution padded by `dilation * (kernel // 2)` on every side."""
        pad = (dilation * (kernel // 2),) * 2
        return nn.Conv(
            features,
            (kernel, kernel),
            strides=(stride, stride),
            padding=(pad, pad),
            kernel_dilation=(dilation, dilation),
            use_bias=bias,
            conv_general_dilated=self.convolution,
            dtype=jnp.dtype(self.dtype),
            param_dtype=jnp.float32,
            name=name,
        )

    def class_scores(self, num_classes: int, *, kernel: int = 1, name: str) -> nn.Conv:
        """The last convolution of a segmenter: with bias, in `wide` whatever the compute type."""
        precise = dataclasses.replace(self, dtype=self.wide)
        return precise.conv(num_classes, kernel=kernel, bias=True, name=name)

    def norm(self, *, name: str, momentum: float = 0.9) -> BatchNorm:
        """A batch normalisation (see `BatchNorm`)."""
        return BatchNorm(
            momentum=momentum,
            dtype=self.dtype,
            axis_name=self.axis_name,
            paired=self.paired,
            name=name,
        )

    def apply(self, function: Callable[..., Any], x: Array, *others: Array) -> Any:
        """`function(x, *others)` of maps, image by image (see `image_pairs.apply`)."""
        return image_pairs.apply(function, x, *others, paired=self.paired)

    def fork(self, x: Array) -> tuple[Array, Array]:
        """A map for two users (see `image_pairs.fork`)."""
        return image_pairs.fork(x, paired=self.paired)

    def dropout(self, rate: float, *, unit: str = "element", name: str) -> Dropout:
        """A dropout (see `Dropout`)."""
        return Dropout(rate, unit=unit, axis_name=self.axis_name, name=name)


def check_width(width: int, *, least: int = 1) -> int:
    """The option `width` of a network: the channels of its first stage.

    Raises:
      ConfigError: no whole number, or below `least`.
    """
    if not isinstance(width, int) or width < least:
        raise ConfigError(f"width={width!r}: expected a whole number, at least {least}")
    return width


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def peak(x: Float[Array, "*n"], axis: int) -> Float[Array, "*m"]:
    """The maximum over one axis (kept, length 1); the gradient goes to the first maximum.

    The gradient of `jnp.max` looks for elements that *equal* the maximum. A compiler may compute x
    again for the backward pass, with other rounding, and then finds other elements or none: under
    jit, gradients of CBAM's pooled maps were wrong by tens of percent on the CPU, in float64 too.
    Here the position is found once and stored.
    """
    return jnp.max(x, axis=axis, keepdims=True)


def _peak_forward(x: Array, axis: int) -> tuple[Array, tuple[Array, Array]]:
    winner = jnp.argmax(x, axis=axis, keepdims=True)
    return jnp.max(x, axis=axis, keepdims=True), (winner, jnp.arange(x.shape[axis]))


def _peak_backward(axis: int, residuals: tuple[Array, Array], cotangent: Array) -> tuple[Array]:
    winner, positions = residuals
    shape = [1] * winner.ndim
    shape[axis] = positions.shape[0]
    is_winner = winner == positions.astype(winner.dtype).reshape(shape)
    return (jnp.where(is_winner, cotangent, jnp.zeros_like(cotangent)),)


peak.defvjp(_peak_forward, _peak_backward)


class Stem(nn.Module):
    """7×7 convolution with stride 2, normalisation, ReLU, 3×3 max pool: a quarter of the size."""

    layers: Layers
    width: int = 64

    @nn.compact
    def __call__(
        self, images: Float[Array, "b h w c"], *, train: bool
    ) -> Float[Array, "b h2 w2 d"]:
        """Map images of any channel count to `width` features."""
        layers = self.layers
        x = layers.conv(self.width, kernel=7, stride=2, name="conv")(images)
        pool = functools.partial(max_pool_3x3, paired=layers.paired)
        return layers.norm(name="norm")(x, train=train, pool=pool)


class Head(nn.Module):
    """Global average pooling and one linear layer, at least in float32 (see `wide_type`)."""

    num_classes: int

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b k"]:
        """Map features to logits."""
        wide = wide_type(str(x.dtype))
        pooled = jnp.mean(x.astype(wide), axis=(1, 2))
        kernel = self.param(
            "kernel", nn.initializers.lecun_normal(), (x.shape[-1], self.num_classes), jnp.float32
        )
        bias = self.param("bias", nn.initializers.zeros, (self.num_classes,), jnp.float32)
        return jnp.matmul(pooled, jnp.asarray(kernel, wide)) + jnp.asarray(bias, wide)[None, :]
