"""Why a classifier said so: attributions that add up, and how well they find the lesions."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mgajax.explanation.attribution import Attribution, CompletenessWarning
    from mgajax.explanation.class_activation import attention_maps, grad_cam
    from mgajax.explanation.deep_lift import deeplift, reveal_cancel
    from mgajax.explanation.integrated import integrated_gradients
    from mgajax.explanation.scores import lesion_scores

__all__ = [
    "Attribution",
    "CompletenessWarning",
    "attention_maps",
    "deeplift",
    "grad_cam",
    "integrated_gradients",
    "lesion_scores",
    "reveal_cancel",
]
_HOMES = {
    "Attribution": "attribution",
    "CompletenessWarning": "attribution",
    "attention_maps": "class_activation",
    "deeplift": "deep_lift",
    "grad_cam": "class_activation",
    "integrated_gradients": "integrated",
    "lesion_scores": "scores",
    "reveal_cancel": "deep_lift",
}


def __getattr__(name: str) -> Any:
    """Import a name on first use: the command line's `--help` needs no JAX."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
