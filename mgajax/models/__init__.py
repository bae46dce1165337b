"""Networks in Flax Linen: `create` one by name, start it with `init_variables`."""

from mgajax.models.initialise import init_variables, variable_shapes
from mgajax.models.outputs import ClassifierOutput, SegmenterOutput
from mgajax.models.overview import count, describe
from mgajax.models.registry import create, names, options

__all__ = [
    "ClassifierOutput",
    "SegmenterOutput",
    "count",
    "create",
    "describe",
    "init_variables",
    "names",
    "options",
    "variable_shapes",
]
