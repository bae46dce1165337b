"""A value that differs between input and baseline, and the parts of the difference that rules handle.

DeepLIFT (Shrikumar et al. 2017) asks of each operation how the difference of its output is made of
the differences of its inputs. Here a difference is carried *forward* as parts that sum to it, each
rule being linear in the parts; JAX then transposes the whole chain, and the transpose gives the
multipliers. So a rule is right as soon as it maps the input's difference to the output's, and the
sum over all pixels is then right by itself.

Rescale carries one part, the difference. RevealCancel carries two: what pushed the value up and what
pushed it down (`p` and `n` in the comments; p + n is the difference).
"""

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

DifferenceParts = tuple[Float[Array, "..."], ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Difference:
    """A value under the input and under the baseline.

    Attributes:
      input: the value under the input.
      baseline: the value under the baseline.
      parts: one or two arrays of that shape, which sum to `input` − `baseline`.
      mixer: the last operation that mixed different values with weights, "" before any: "dense" or
        "convolution". The genomics default chooses its rule by it.
    """

    input: Float[Array, "*shape"]
    baseline: Float[Array, "*shape"]
    parts: DifferenceParts
    mixer: str = ""

    @property
    def change(self) -> Float[Array, "*shape"]:
        """Input − baseline."""
        return self.input - self.baseline

    @property
    def middle(self) -> Float[Array, "*shape"]:
        """The mean of the two values."""
        return self.baseline + 0.5 * self.change


def split_by_sign(change: Float[Array, "*shape"], *, count: int) -> DifferenceParts:
    """A first value's parts: the change itself, or its positive and its negative elements."""
    if count == 1:
        return (change,)
    return (jnp.maximum(change, 0.0), jnp.minimum(change, 0.0))


def scale_parts(parts: DifferenceParts, factor: Float[Array, "..."]) -> DifferenceParts:
    """Parts times a factor that broadcasts against them; a negative one exchanges p and n."""
    if len(parts) == 1:
        return (factor * parts[0],)
    up, down = jnp.maximum(factor, 0.0), jnp.minimum(factor, 0.0)
    positive, negative = parts
    return (up * positive + down * negative, down * positive + up * negative)


def exchange_parts(parts: DifferenceParts) -> DifferenceParts:
    """p and n exchanged, for an operation that takes the negative of this operand."""
    return parts[::-1]


def add_parts(first: DifferenceParts, second: DifferenceParts) -> DifferenceParts:
    """Parts of a sum: p with p, n with n."""
    return tuple(a + b for a, b in zip(first, second, strict=True))


def split_by_net_sign(value: Difference) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """The changes of values that rose, and of those that fell; an unchanged value counts half in each.

    Weights meet whole values, so p and n of one value share a fate (the paper of DeepLIFT, §3.5.1,
    splits the terms of a linear layer by the sign of weight times change).
    """
    change_in_parts = sum(value.parts[1:], start=value.parts[0])
    half = jnp.asarray(0.5, change_in_parts.dtype)
    change = value.change
    rose = jnp.where(change > 0, 1.0, jnp.where(change == 0, half, 0.0)).astype(
        change_in_parts.dtype
    )
    return rose * change_in_parts, (1 - rose) * change_in_parts


def last_mixer(values: Sequence[object]) -> str:
    """The mixer of the first operand that has one."""
    return next((v.mixer for v in values if isinstance(v, Difference) and v.mixer), "")
