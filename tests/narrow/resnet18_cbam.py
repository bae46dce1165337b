"""`configs/classification/resnet18_cbam.py` with a network of a quarter of the channels and half the blocks."""

from ml_collections import ConfigDict

from mgajax.config import classification


def get_config() -> ConfigDict:
    """Compiles in a fraction of the time; all else is as shipped."""
    config = classification("resnet18_cbam")
    config.model.options.width = 16
    config.model.options.depths = (1, 1, 1, 1)
    return config
