"""Types that numbers are computed in."""

DTYPES = ("float32", "bfloat16", "float64")
"""Compute types; float64 is for checking gradients and needs `jax_enable_x64`."""


def wide_type(dtype: str) -> str:
    """At least float32: the type of sums, statistics and logits under a compute type."""
    return "float64" if dtype == "float64" else "float32"
