"""Convolution of maps with one or two channels, which on a TPU takes whole lines as vectors."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from mgajax.models.convolution import convolve


def convolve_lines(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "k l c d"],
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    **settings: Any,
) -> Float[Array, "b h2 w2 d"]:
    """`mgajax.models.convolution.convolve` for few channels, without stride or dilation.

    A TPU multiplies 128 × 128 values at once; two channels leave nearly all of them empty. There the
    pixels and channels of a line are the channels of a convolution along the columns, whose kernel holds
    each row of the taps at every place of the line (a Toeplitz matrix).
    """

    def default(x: Array, kernel: Array) -> Array:
        return convolve(x, kernel, strides, padding, **settings)

    def on_a_tpu(x: Array, kernel: Array) -> Array:
        batch, height, width, channels = x.shape
        lines = _of_lines(kernel, width=width, padding=padding[1])
        y = lax.conv_general_dilated(
            x.reshape(batch, height, width * channels),
            lines,
            (1,),
            (padding[0],),
            dimension_numbers=("NHC", "HIO", "NHC"),
            precision=settings.get("precision"),
        )
        return y.reshape(batch, y.shape[1], -1, kernel.shape[3])

    return lax.platform_dependent(x, kernel, tpu=on_a_tpu, default=default)


def _of_lines(
    kernel: Float[Array, "k l c d"], *, width: int, padding: tuple[int, int]
) -> Float[Array, "k i o"]:
    """Kernels from the values of a line, pixel by pixel, to those of the line that results."""
    taps = kernel.shape[1]
    results = width + sum(padding) - taps + 1
    offset = np.arange(width)[:, None] - np.arange(results)[None, :] + padding[0]
    places = jnp.asarray(offset[None] == np.arange(taps)[:, None, None], kernel.dtype)
    # A sum of one value and zeros.
    lines = jnp.einsum("klcd,liw->kicwd", kernel, places, precision="highest")
    return lines.reshape(len(kernel), width * kernel.shape[2], results * kernel.shape[3])
