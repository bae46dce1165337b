"""Data sets as TFDS builders, readable without TensorFlow.

`build` makes any of them by name. It is imported on first use: reading a built data set, and drawing
phantoms, do not need it.
"""

from typing import Any

__all__ = ["BuildResult", "build"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tfds_builders import building

    return getattr(building, name)
