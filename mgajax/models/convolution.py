"""Convolutions that are quick where XLA's CPU compiler is not. Layout is NHWC, kernels are HWIO.

Which form a layer takes follows from the platform that a program is compiled for
(`lax.platform_dependent`), not from the machine that traces it: an exported file has each platform's
own form, and so has what is compiled ahead of time.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Pads: TypeAlias = tuple[tuple[int, int], ...]
_LAYOUT = ("NHWC", "HWIO", "NHWC")

USUAL_BATCH = 32


def convolve(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "k l c d"],
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    **settings: Any,
) -> Float[Array, "b h2 w2 d"]:
    """`lax.conv_general_dilated`, and the same sums as one matrix product where a CPU likes it better.

    On a CPU, 1×1 kernels and their gradients are two to five times as fast as a product of matrices,
    3×3 kernels that hold more values than what they see are twice as fast, and where the kernel is
    larger than the map XLA leaves its fast convolutions altogether: 3×3 over 2×2 with 512 channels
    takes a hundred times longer than over 3×3. Patches of such maps cost little memory.
    Taps of a dilated kernel that see nothing but padding are left out, which is most of a pyramid's
    on small maps.
    """
    dilation = settings.get("rhs_dilation") or (1, 1)
    kernel, padding = _reaching_taps(kernel, x.shape[1:3], padding, dilation=dilation)

    def convolution(x: Array, kernel: Array) -> Array:
        return lax.conv_general_dilated(x, kernel, strides, padding, **settings)

    places = tuple(
        (side + sum(pads) - step * (taps - 1) - 1) // stride + 1
        for side, pads, step, taps, stride in zip(
            x.shape[1:3], padding, dilation, kernel.shape[:2], strides, strict=True
        )
    )
    if not _is_product_on_a_cpu(kernel.shape, x.shape, places=math.prod(places)):
        return convolution(x, kernel)
    product = functools.partial(
        _product,
        places=places,
        strides=strides,
        padding=padding,
        dilation=dilation,
        precision=settings.get("precision"),
    )
    return lax.platform_dependent(x, kernel, cpu=product, default=convolution)


def _product(
    x: Array,
    kernel: Array,
    *,
    places: tuple[int, ...],
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    precision: Any,
) -> Array:
    """A convolution without groups as one matrix product of patches; `places` is its output's size."""
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    rows, columns = (
        [slice(tap * step, tap * step + (count - 1) * stride + 1, stride) for tap in range(taps)]
        for count, stride, step, taps in zip(
            places, strides, dilation, kernel.shape[:2], strict=True
        )
    )
    patches = [cut(x, rows=down, columns=across) for down in rows for across in columns]
    flat = jnp.concatenate(patches, axis=-1)
    return jnp.matmul(flat, kernel.reshape(-1, kernel.shape[-1]), precision=precision)


def cut(x: Float[Array, "b h w c"], *, rows: slice, columns: slice) -> Float[Array, "b h2 w2 c"]:
    """`x[:, rows, columns, :]` with positive steps, and one slice under a symbolic batch, too.

    Indexing would be a gather there (`jax.export`), which is slow and hides what it does.
    """
    (top, bottom, down), (left, right, across) = (
        places.indices(side) for places, side in zip((rows, columns), x.shape[1:3], strict=True)
    )
    limits = (x.shape[0], bottom, right, x.shape[3])
    return lax.slice(x, (0, top, left, 0), limits, (1, down, across, 1))


def _is_product_on_a_cpu(kernel: Sequence[int], x: Sequence[Any], *, places: int) -> bool:
    """Whether a convolution of these shapes is quicker there as one matrix product.

    The size of the batch has no say: any number of devices computes alike.

    Args:
      places: of the kernel on one map.
    """
    heavy = USUAL_BATCH * places <= kernel[3]  # more values than the patches of a usual batch
    return max(kernel[:2]) == 1 or heavy or max(kernel[:2]) > min(x[1:3])


def _reaching_taps(
    kernel: Array,
    sides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    *,
    dilation: Sequence[int],
) -> tuple[Array, list[tuple[int, int]]]:
    """The part of a kernel whose taps meet the map somewhere, and the padding that fits it.

    Only for padding that keeps the size at stride 1, as all of ours does.
    """
    fitting = []
    for axis, (side, (before, after), step) in enumerate(
        zip(sides, padding, dilation, strict=True)
    ):
        taps = kernel.shape[axis]
        if before + after == (taps - 1) * step:
            # A tap's offset from an output's own place must lie within ± (side − 1).
            first = max(-(-(before - side + 1) // step), 0)
            last = max(-(-(after - side + 1) // step), 0)
            kernel = lax.slice_in_dim(kernel, first, taps - last, axis=axis)
            before, after = before - first * step, after - last * step
        fitting.append((before, after))
    return kernel, fitting


def convolve_in_loops(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "k l c d"],
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    **settings: Any,
) -> Float[Array, "b h2 w2 d"]:
    """`convolve` for the body of a loop (`lax.scan`), without dilation or groups; no forward mode.

    On a CPU, XLA brings convolutions into the layout of its fast ones in the entry computation
    only. JAX's gradients of convolutions are in other layouts, and inside a loop they take ten
    times as long. Here the transposes are written out. Accelerators get `convolve`: their libraries
    know the gradients by the form that JAX gives them.
    """

    def usual(x: Array, kernel: Array) -> Array:
        return convolve(x, kernel, strides, padding, **settings)

    if max(kernel.shape[:2]) == 1 or max(kernel.shape[:2]) > min(x.shape[1:3]):
        return usual(x, kernel)
    written_out = functools.partial(
        _convolve,
        strides=tuple(strides),
        pads=tuple((before, after) for before, after in padding),
        precision=settings.get("precision"),
    )
    return lax.platform_dependent(x, kernel, cpu=written_out, default=usual)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _convolve(x: Array, kernel: Array, strides: tuple[int, ...], pads: Pads, precision: Any):
    return lax.conv_general_dilated(
        x, kernel, strides, pads, dimension_numbers=_LAYOUT, precision=precision
    )


def _forward(x: Array, kernel: Array, strides: tuple[int, ...], pads: Pads, precision: Any):
    return _convolve(x, kernel, strides, pads, precision), (x, kernel)


def _backward(
    strides: tuple[int, ...],
    pads: Pads,
    precision: Any,
    residuals: tuple[Array, Array],
    cotangent: Array,
) -> tuple[Array, Array]:
    x, kernel = residuals
    sides = list(
        zip(x.shape[1:3], kernel.shape[:2], cotangent.shape[1:3], strides, pads, strict=True)
    )
    # The cotangent, spread by the stride and padded so that x's size comes out, with the kernel
    # turned round; and x with the cotangent for a kernel, summed over the batch.
    spread = [
        (window - 1 - before, size + before - 1 - (new - 1) * stride)
        for size, window, new, stride, (before, _) in sides
    ]
    margins = [
        (before, (new - 1) * stride + window - size - before)
        for size, window, new, stride, (before, _) in sides
    ]
    convolution = functools.partial(
        lax.conv_general_dilated,
        window_strides=(1, 1),
        dimension_numbers=_LAYOUT,
        precision=precision,
    )
    turned = jnp.flip(kernel, (0, 1)).transpose(0, 1, 3, 2)
    to_x = convolution(cotangent, turned, padding=spread, lhs_dilation=strides)
    batch_last = x.transpose(3, 1, 2, 0)
    to_kernel = convolution(
        batch_last, cotangent.transpose(1, 2, 0, 3), padding=margins, rhs_dilation=strides
    )
    return to_x, to_kernel.transpose(1, 2, 0, 3)


_convolve.defvjp(_forward, _backward)
