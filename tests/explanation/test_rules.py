"""Every rule carries the whole difference: parts that sum to it on both sides."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from explanation.drawn_networks import average_pool

from mgajax.errors import ConfigError
from mgajax.explanation.difference import split_by_sign
from mgajax.explanation.interpreter import propagate
from mgajax.models.blocks import peak
from mgajax.models.pooling import max_pool_3x3

KERNEL = np.random.default_rng(5).standard_normal((3, 3, 2, 4))
RAMP = np.linspace(-1, 1, 2)

FUNCTIONS: dict[str, Callable] = {
    "relu": nn.relu,
    "sigmoid gate": lambda x: x * nn.sigmoid(x),
    "attention over space": lambda x: x * nn.sigmoid(jnp.max(x, axis=(1, 2), keepdims=True)),
    "attention over channels": lambda x: x * nn.sigmoid(peak(x, -1)),
    "overlapping pool": lambda x: nn.max_pool(x, (3, 3), strides=(1, 1), padding="SAME"),
    "stem pool": max_pool_3x3,
    "smallest of windows": lambda x: -nn.max_pool(-x, (2, 2), strides=(2, 2)),
    "smallest": lambda x: jnp.min(x, axis=2),
    "average pool": average_pool,
    "maximum of two": lambda x: jnp.maximum(x, x[:, ::-1]),
    "minimum of two": lambda x: jnp.minimum(x, 0.5 * x[:, :, ::-1]),
    "clip": lambda x: jnp.clip(x, -0.5, 0.7),
    "convolution": lambda x: jax.lax.conv_general_dilated(
        x, jnp.asarray(KERNEL), (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    ),
    "product of two": lambda x: jnp.matmul(x, jnp.swapaxes(x, -1, -2)),
    "square": lambda x: x * x + jnp.square(x) - x**3,
    "quotient": lambda x: x / (2 + jnp.exp(x)) - 1 / (3 + jnp.abs(x)),
    "softmax": lambda x: nn.softmax(x, axis=-1),
    "layer norm": lambda x: (
        (x - x.mean(-1, keepdims=True)) * jax.lax.rsqrt(1 + x.var(-1))[..., None]
    ),
    "constants": lambda x: (1.5 - x) * jnp.asarray(RAMP)[None, None, None] / 3 - 2,
    "moves": lambda x: jnp.cumsum(jnp.pad(x.transpose(0, 2, 1, 3), 1)[:, ::-1, 1:], axis=1),
    "choice": lambda x: jnp.where(jnp.arange(2)[None, None, None] > 0, x, 2 * x),
    "concatenation": lambda x: jnp.concatenate([x, nn.relu(x)], axis=-1).sum(axis=(1, 2)),
    "parts of an array": lambda x: jnp.stack([p * p for p in jnp.split(x, 3, axis=1)]),
    "whole functions": lambda x: nn.gelu(x) + nn.silu(x) + nn.elu(x) + nn.leaky_relu(x),
    "rematerialised": jax.checkpoint(lambda x: jnp.tanh(x) * x),
    "of nothing": lambda x: jnp.ones_like(x),
}


RULES = ("rescale", "reveal_cancel", "genomics_default")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_parts_sum_to_the_difference(name: str) -> None:
    """By each rule, in one program."""
    function = FUNCTIONS[name]
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        image, baseline = rng.standard_normal((2, 2, 6, 6, 2))
        image[0, :3] = baseline[0, :3]
        image, baseline = jnp.asarray(image), jnp.asarray(baseline)

        @jax.jit
        def run(image, baseline):
            sums = {}
            for rule in RULES:
                parts = split_by_sign(image - baseline, count=1 if rule == "rescale" else 2)
                out = propagate(
                    function, image=image, baseline=baseline, parts=parts, nonlinear=rule
                )
                sums[rule] = out.change, sum(out.parts)
            return sums, function(image) - function(baseline)

        sums, truth = run(image, baseline)
        for rule, (change, total) in sums.items():
            np.testing.assert_allclose(change, truth, atol=1e-13, err_msg=rule)
            np.testing.assert_allclose(total, truth, atol=1e-12, err_msg=rule)


def test_two_parts_keep_their_signs_where_a_sign_turns() -> None:
    image, baseline = jnp.asarray([[2.0, -1.0]]), jnp.zeros((1, 2))
    parts = split_by_sign(image, count=2)
    out = propagate(
        lambda x: 1.0 - 3.0 * x, image=image, baseline=baseline, parts=parts, nonlinear="rescale"
    )
    np.testing.assert_allclose(out.parts[0], [[0.0, 3.0]])
    np.testing.assert_allclose(out.parts[1], [[-6.0, 0.0]])


def test_overlapping_windows_share_a_winner() -> None:
    """A pixel that wins four windows gets all four; the loser of the baseline pays."""
    image = jnp.zeros((1, 4, 4, 1)).at[0, 1, 1, 0].set(2.0)
    baseline = jnp.zeros((1, 4, 4, 1)).at[0, 2, 2, 0].set(1.0)

    def pooled(x):
        return nn.max_pool(x, (2, 2), strides=(1, 1)).sum(axis=(1, 2, 3))

    def of_parts(parts):
        return propagate(
            pooled, image=image, baseline=baseline, parts=parts, nonlinear="rescale"
        ).parts

    parts = (image - baseline,)
    (out,), transpose = jax.vjp(of_parts, parts)
    ((multiplier,),) = transpose((jnp.ones_like(out),))
    shares = (multiplier * parts[0])[0, :, :, 0]
    # Windows: 3 hold only the winner (each +2), 3 only the loser (each −1), one holds both (+1).
    assert shares[1, 1] == pytest.approx(7.0)
    assert shares[2, 2] == pytest.approx(-3.0)
    assert float(jnp.abs(shares).sum()) == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: jnp.sort(x, axis=-1), ["'sort'", "conv_general_dilated", "largest_of_nine"]),
        (lambda x: jnp.where(x > 0, x, 0.1 * x), ["operation 'gt'", "supported operations"]),
        (lambda x: jnp.power(2.0 + x, x), ["'pow'", "two operands"]),
        (
            lambda x: jax.lax.scan(lambda c, row: (c, c * row), x[0], x)[1],
            ["'scan'", "integrated_gradients"],
        ),
    ],
)
def test_an_operation_without_a_rule_is_named(function, words) -> None:
    x = jnp.ones((2, 3))
    with pytest.raises(ConfigError) as caught:
        propagate(function, image=x, baseline=0 * x, parts=(x,), nonlinear="rescale")
    for word in words:
        assert word in str(caught.value)


def test_operations_that_the_output_does_not_need_require_no_rule() -> None:
    def function(x):
        jnp.sort(x)
        return 2 * x

    x = jnp.ones((2, 3))
    out = propagate(function, image=x, baseline=0 * x, parts=(x,), nonlinear="rescale")
    np.testing.assert_allclose(out.parts[0], 2 * x)
