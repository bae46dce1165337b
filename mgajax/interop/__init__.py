"""Weights to and from other frameworks."""

from mgajax.interop.hmsanet_names import with_imagenet_trunk
from mgajax.interop.torch_weights import from_torch, to_torch

__all__ = ["from_torch", "to_torch", "with_imagenet_trunk"]
