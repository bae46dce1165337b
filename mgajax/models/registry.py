"""Networks by name. A new one is a line in the table of its task; its keyword arguments are its options."""

import inspect
from collections.abc import Callable
from typing import Any

import flax.linen as nn

from mgajax.errors import ConfigError, nearest
from mgajax.models.deeplabv3 import deeplabv3_resnet50, deeplabv3_resnet101
from mgajax.models.densenet import densenet121
from mgajax.models.hmsanet import hmsanet
from mgajax.models.mga import mga_resnet18
from mgajax.models.resnet import resnet18, resnet18_cbam, resnet50
from mgajax.models.segnet import segnet
from mgajax.models.unet import unet

CLASSIFIERS: dict[str, Callable[..., nn.Module]] = {
    "resnet18": resnet18,
    "resnet50": resnet50,
    "densenet121": densenet121,
    "resnet18_cbam": resnet18_cbam,
    "mga_resnet18": mga_resnet18,
}
SEGMENTERS: dict[str, Callable[..., nn.Module]] = {
    "hmsanet": hmsanet,
    "unet": unet,
    "segnet": segnet,
    "deeplabv3_resnet50": deeplabv3_resnet50,
    "deeplabv3_resnet101": deeplabv3_resnet101,
}
BUILDERS = CLASSIFIERS | SEGMENTERS


def names() -> tuple[str, ...]:
    """Names of all networks, for `create`."""
    return tuple(BUILDERS)


def options(name: str) -> dict[str, Any]:
    """The options of a network and their defaults.

    Raises:
      ConfigError: unknown name.
    """
    parameters = inspect.signature(_builder(name)).parameters
    return {key: p.default for key, p in parameters.items() if key != "num_classes"}


def create(name: str, *, num_classes: int, **settings: Any) -> nn.Module:
    """A network by name.

    Args:
      name: one of `names()`.
      num_classes: number of logits, at least 2.
      **settings: options of this network; `options(name)` lists them with their defaults.

    Returns:
      A flax module: `model.apply(variables, images, train=False)` takes normalised float32 images
      `[b, h, w, c]` and returns a `ClassifierOutput` or, for a segmenter, a `SegmenterOutput`.
      Start from `init_variables`, which draws parameters as the published networks do;
      `model.init` does not.

    Raises:
      ConfigError: an unknown name, option or value; the message lists the valid ones.
    """
    builder, known = _builder(name), tuple(options(name))
    for key in settings:
        if key not in known:
            raise ConfigError(f"model {name} has no option {key!r}: {nearest(key, known)}")
    if num_classes < 2:
        raise ConfigError(f"num_classes={num_classes!r}: expected at least 2")
    return builder(num_classes=num_classes, **settings)


def _builder(name: str) -> Callable[..., nn.Module]:
    if name not in BUILDERS:
        raise ConfigError(f"model {name!r} is unknown: {nearest(name, names())}")
    return BUILDERS[name]
