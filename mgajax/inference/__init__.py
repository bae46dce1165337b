"""A trained run applied to pictures that it was not trained on."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mgajax.inference.predictor import Prediction, Predictor, spread

__all__ = ["Prediction", "Predictor", "spread"]


def __getattr__(name: str) -> Any:
    """Import names on first use: the command line's `--help` needs no JAX."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.predictor"), name)
