"""Convolutions in forms that XLA's CPU compiler computes fast. Layout is NHWC, kernels are HWIO.

The form of a layer follows from the platform that a program is compiled for
(`lax.platform_dependent`), not from the machine that traces it. So exported programs, and those
compiled ahead of time, have the form of their own platform.
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
    """`lax.conv_general_dilated`; on a CPU the same sums as one matrix product where that is faster.

    As a product, 1×1 kernels and their gradients are two to five times as fast on a CPU, and 3×3
    kernels with more values than their input twice as fast. Where the kernel is larger than the map,
    XLA does not use its fast convolutions: 3×3 over 2×2 with 512 channels takes a hundred times
    longer than over 3×3. Patches of such maps need little memory.
    Taps of a dilated kernel that only meet padding are left out: most of a pyramid's on small maps.
    """
    dilation = settings.get("rhs_dilation") or (1, 1)
    kernel, padding = _drop_padding_taps(kernel, x.shape[1:3], padding, dilation=dilation)

    def convolution(x: Array, kernel: Array) -> Array:
        return lax.conv_general_dilated(x, kernel, strides, padding, **settings)

    size = tuple(
        (side + sum(pads) - step * (taps - 1) - 1) // stride + 1
        for side, pads, step, taps, stride in zip(
            x.shape[1:3], padding, dilation, kernel.shape[:2], strides, strict=True
        )
    )
    if not _is_product_on_a_cpu(kernel.shape, x.shape, outputs=math.prod(size)):
        return convolution(x, kernel)
    product = functools.partial(
        _product,
        size=size,
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
    size: tuple[int, ...],
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    precision: Any,
) -> Array:
    """A convolution without groups as one matrix product of patches; `size` is that of its output."""
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    rows, columns = (
        [slice(tap * step, tap * step + (count - 1) * stride + 1, stride) for tap in range(taps)]
        for count, stride, step, taps in zip(size, strides, dilation, kernel.shape[:2], strict=True)
    )
    patches = [strided_slice(x, rows=down, columns=across) for down in rows for across in columns]
    flat = jnp.concatenate(patches, axis=-1)
    return jnp.matmul(flat, kernel.reshape(-1, kernel.shape[-1]), precision=precision)


def strided_slice(
    x: Float[Array, "b h w c"], *, rows: slice, columns: slice
) -> Float[Array, "b h2 w2 c"]:
    """`x[:, rows, columns, :]` with positive steps, as one slice operation under any batch size.

    Under a symbolic batch size (`jax.export`) indexing would become a gather, which is slow.
    """
    (top, bottom, down), (left, right, across) = (
        indices.indices(side) for indices, side in zip((rows, columns), x.shape[1:3], strict=True)
    )
    limits = (x.shape[0], bottom, right, x.shape[3])
    return lax.slice(x, (0, top, left, 0), limits, (1, down, across, 1))


def _is_product_on_a_cpu(kernel: Sequence[int], x: Sequence[Any], *, outputs: int) -> bool:
    """Whether a convolution of these shapes is faster there as one matrix product.

    The size of the batch does not matter, so that any number of devices computes alike.

    Args:
      outputs: positions of the kernel on one map.
    """
    is_large = USUAL_BATCH * outputs <= kernel[3]  # more values than the patches of a usual batch
    return max(kernel[:2]) == 1 or is_large or max(kernel[:2]) > min(x[1:3])


def _drop_padding_taps(
    kernel: Array,
    sides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    *,
    dilation: Sequence[int],
) -> tuple[Array, list[tuple[int, int]]]:
    """A kernel without the taps that only meet padding, and the padding that is left.

    Changes nothing for padding that does not keep the size at stride 1; all of ours does.
    """
    remaining = []
    for axis, (side, (before, after), step) in enumerate(
        zip(sides, padding, dilation, strict=True)
    ):
        taps = kernel.shape[axis]
        if before + after == (taps - 1) * step:
            # A tap's offset from its output's position must lie within ± (side − 1).
            first = max(-(-(before - side + 1) // step), 0)
            last = max(-(-(after - side + 1) // step), 0)
            kernel = lax.slice_in_dim(kernel, first, taps - last, axis=axis)
            before, after = before - first * step, after - last * step
        remaining.append((before, after))
    return kernel, remaining


def convolve_in_loops(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "k l c d"],
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    **settings: Any,
) -> Float[Array, "b h2 w2 d"]:
    """`convolve` for the body of a loop (`lax.scan`), without dilation or groups; no forward mode.

    On a CPU, XLA converts convolutions to the layout of its fast ones in the entry computation only.
    JAX's gradients of convolutions are in other layouts, so inside a loop they take ten times as
    long. Here the transposes are written out. Accelerators get `convolve`: their libraries recognise
    the gradients in the form that JAX gives them.
    """

    def default(x: Array, kernel: Array) -> Array:
        return convolve(x, kernel, strides, padding, **settings)

    if max(kernel.shape[:2]) == 1 or max(kernel.shape[:2]) > min(x.shape[1:3]):
        return default(x, kernel)
    with_transposes = functools.partial(
        _convolve,
        strides=tuple(strides),
        pads=tuple((before, after) for before, after in padding),
        precision=settings.get("precision"),
    )
    return lax.platform_dependent(x, kernel, cpu=with_transposes, default=default)


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
    # To x: the cotangent, dilated by the stride and padded to x's size, convolved with the flipped
    # kernel. To the kernel: x convolved with the cotangent, summed over the batch.
    pads_of_x = [
        (window - 1 - before, size + before - 1 - (new - 1) * stride)
        for size, window, new, stride, (before, _) in sides
    ]
    pads_of_kernel = [
        (before, (new - 1) * stride + window - size - before)
        for size, window, new, stride, (before, _) in sides
    ]
    convolution = functools.partial(
        lax.conv_general_dilated,
        window_strides=(1, 1),
        dimension_numbers=_LAYOUT,
        precision=precision,
    )
    flipped = jnp.flip(kernel, (0, 1)).transpose(0, 1, 3, 2)
    to_x = convolution(cotangent, flipped, padding=pads_of_x, lhs_dilation=strides)
    batch_last = x.transpose(3, 1, 2, 0)
    to_kernel = convolution(
        batch_last, cotangent.transpose(1, 2, 0, 3), padding=pads_of_kernel, rhs_dilation=strides
    )
    return to_x, to_kernel.transpose(1, 2, 0, 3)


_convolve.defvjp(_forward, _backward)
