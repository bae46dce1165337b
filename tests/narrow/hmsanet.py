"""`configs/segmentation/hmsanet.py` with the smallest trunk."""

from ml_collections import ConfigDict

from configs.segmentation import hmsanet


def get_config() -> ConfigDict:
    """Compiles in a fraction of the time; all else is as shipped."""
    config = hmsanet.get_config()
    config.model.options.trunk = "hrnet_tiny"
    return config
