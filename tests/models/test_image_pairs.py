"""Pairs of images, a TPU's form of narrow maps: run here, on a CPU, it gives what single ones give."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax

from mgajax import models
from mgajax.models import image_pairs
from mgajax.models.convolution import convolve
from mgajax.models.normalisation import NormSettings, normalise

LAYOUT = ("NHWC", "HWIO", "NHWC")
NARROW = 40
"""Channels of which two images fit side by side."""


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


@contextlib.contextmanager
def as_on_a_tpu() -> Iterator[list[Any]]:
    """Every layer takes the form that it has on a TPU; these, None for a layer that has none."""
    forms: list[Any] = []

    def chosen(*operands: Any, default: Any, tpu: Any = None, **_: Any) -> Any:
        forms.append(tpu)
        return (tpu or default)(*operands)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lax, "platform_dependent", chosen)
        yield forms


@pytest.mark.parametrize(
    ("shape", "fits"),
    [
        ((2, 8, 8, 64), True),
        ((2, 7, 8, 33), True),
        ((2, 8, 8, 32), False),
        ((2, 8, 8, 65), False),
        ((3, 8, 8, 64), False),
        ((2, 1, 1, 64), False),
    ],
)
def test_two_images_where_they_fit_and_one_alone_would_waste_half(
    shape: tuple[int, ...], fits: bool
) -> None:
    assert image_pairs.fits(shape) == fits


def test_a_batch_of_unknown_size_is_not_paired() -> None:
    (batch,) = export.symbolic_shape("b")
    assert not image_pairs.fits((batch, 8, 8, 64))


def test_a_pair_holds_two_images_one_after_the_other() -> None:
    x = jnp.asarray(drawn(4, 6, 5, 3), jnp.float32)
    paired = image_pairs.pair(x)
    np.testing.assert_array_equal(paired[..., :3], x[0::2])
    np.testing.assert_array_equal(paired[..., 3:], x[1::2])
    np.testing.assert_array_equal(image_pairs.unpair(paired), x)


@pytest.mark.parametrize(
    ("before", "after", "taps", "stride"),
    [
        (1, NARROW, 7, 2),
        (NARROW, NARROW, 3, 1),
        (NARROW, NARROW, 1, 1),
        (NARROW, 80, 3, 2),
        (NARROW, 80, 1, 2),
        (80, NARROW, 3, 1),
        (NARROW, 80, 3, 1),
    ],
)
def test_convolutions_of_pairs(before: int, after: int, taps: int, stride: int) -> None:
    """Values and gradients, in float64."""
    with jax.enable_x64(True):
        x = jnp.asarray(drawn(2, 8, 6, before))
        kernel = jnp.asarray(drawn(taps, taps, before, after, seed=1))
        edge = taps // 2

        def results(convolution: Any) -> Any:
            def total(x: jax.Array, kernel: jax.Array) -> Any:
                padding = ((edge, edge), (edge, edge))
                y = convolution(x, kernel, (stride,) * 2, padding, dimension_numbers=LAYOUT)
                return jnp.sum(jnp.sin(y)), y

            return jax.value_and_grad(total, (0, 1), has_aux=True)(x, kernel)

        single = results(convolve)
        with as_on_a_tpu():
            paired = results(image_pairs.convolve)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-10), paired, single)


def test_normalisation_of_pairs() -> None:
    """Values, moments and gradients in float64, also for a mean much larger than the deviation."""
    with jax.enable_x64(True):
        x, upstream = (jnp.asarray(drawn(2, 6, 5, NARROW, seed=seed)) for seed in (0, 1))
        scale, bias = (jnp.asarray(drawn(NARROW, seed=seed)) for seed in (2, 3))

        def results(paired: bool) -> Any:
            settings = NormSettings(dtype="float64", paired=paired)

            def total(x: jax.Array, scale: jax.Array, bias: jax.Array) -> Any:
                y, moments = normalise(x, scale, bias, jnp.zeros_like(bias), settings)
                return jnp.sum(y * upstream), (y, moments)

            return jax.value_and_grad(total, (0, 1, 2), has_aux=True)(100 + x, scale, bias)

        single = results(False)
        with as_on_a_tpu():
            paired = results(True)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11), paired, single
    )


def passes(images: np.ndarray) -> Any:
    """Logits, maps, statistics and all gradients of a narrow network that has narrow maps."""
    model = models.create(
        "mga_resnet18", num_classes=3, dtype="float64", width=NARROW, depths=(1, 1, 1, 1)
    )
    drawn_here = models.init_variables(model, image_size=32, channels=1, seed=0)
    variables = jax.tree.map(lambda value: jnp.asarray(value, jnp.float64), drawn_here)

    def loss(params: Any, images: jax.Array) -> Any:
        state = {"params": params, "batch_stats": variables["batch_stats"]}
        output, changed = model.apply(state, images, train=True, mutable=["batch_stats"])
        maps = sum(jnp.sum(jnp.square(value)) for value in output.attention.values())
        return jnp.sum(jnp.square(output.logits)) + maps, (output, changed)

    return jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(variables["params"], images)


def test_a_network_of_pairs_is_the_network() -> None:
    """Stem, pool, blocks and attention together; each gradient by the largest of its array."""
    with jax.enable_x64(True):
        images = jnp.asarray(drawn(2, 32, 32, 1))
        single = passes(images)
        with as_on_a_tpu() as forms:
            paired = passes(images)
    assert sum(form is not None for form in forms) > 20

    def same(path: Any, first: jax.Array, other: jax.Array) -> None:
        bound = 1e-11 * max(np.abs(np.asarray(other)).max(), 1.0)
        np.testing.assert_allclose(first, other, rtol=0, atol=bound, err_msg=str(path))

    jax.tree.map_with_path(same, paired, single)


def test_other_platforms_get_single_images() -> None:
    """The TPU's program convolves maps of twice the channels, the others' programs none."""
    layer = models.blocks.Layers().in_pairs.conv(64, kernel=3, name="conv")
    x = jax.ShapeDtypeStruct((2, 8, 8, 64), jnp.float32)
    variables = jax.eval_shape(layer.init, jax.random.key(0), x)
    traced = jax.jit(layer.apply).trace(variables, x)
    paired = {
        platform: "tensor<1x8x8x128xf32>" in traced.lower(lowering_platforms=(platform,)).as_text()
        for platform in ("cpu", "cuda", "tpu")
    }
    assert paired == {"cpu": False, "cuda": False, "tpu": True}


def test_no_function_of_a_tpus_program_takes_narrow_maps_as_single_images() -> None:
    """The compiler drops no change of form at the edge of a function: a step costs half as much more."""
    model = models.create("mga_resnet18", num_classes=3, width=NARROW, depths=(1, 1, 1, 1))
    variables = models.variable_shapes(model, image_size=32, channels=1)
    images = jax.ShapeDtypeStruct((2, 32, 32, 1), jnp.float32)

    def loss(variables: Any, images: jax.Array) -> jax.Array:
        output, _ = model.apply(variables, images, train=True, mutable=["batch_stats"])
        return jnp.sum(output.logits)

    text = (
        jax.jit(jax.grad(loss))
        .trace(variables, images)
        .lower(lowering_platforms=("tpu",))
        .as_text()
    )
    narrow = re.compile(rf"tensor<2x\d+x\d+x{NARROW}x")
    calls = [line for line in text.splitlines() if " call @" in line]
    assert calls
    assert not [line.strip() for line in calls if narrow.search(line)]
