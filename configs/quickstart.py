"""The whole chain on drawn data, small enough for two CPU cores.

mgajax quickstart
"""

from ml_collections import ConfigDict

from configs.classification import mga_resnet18


def get_config() -> ConfigDict:
    """The proposed model on small slices, for a few epochs at a higher rate."""
    config = mga_resnet18.get_config()
    config.preparation.image_size = 96
    config.optimiser.learning_rate = 5e-4
    config.epochs = 8
    config.patience = 0
    config.log_every = 5
    return config
