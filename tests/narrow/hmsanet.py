"""`configs/segmentation/hmsanet.py` with the smallest trunk."""

from ml_collections import ConfigDict

from mgajax.config import segmentation


def get_config() -> ConfigDict:
    """Compiles in a fraction of the time; all else is as shipped."""
    config = segmentation("hmsanet")
    config.model.options.trunk = "hrnet_tiny"
    return config
