"""The quickstart's classifier on drawn slices, with a search small enough for two CPU cores.

    mgajax build ct_phantom --builder_config small
    mgajax tune --config configs/tuning/mga_resnet18_phantom.py --workdir runs/tuning --trials 12 \\
        --data tensorflow_datasets/ct_phantom/small/1.0.0
"""

from ml_collections import ConfigDict

from mgajax.config import add_search, phantom_classifier


def get_config() -> ConfigDict:
    """Twelve epochs a trial."""
    config = phantom_classifier()
    config.epochs = 12
    space = {
        "optimiser": {
            "learning_rate": (1e-4, 1e-2, "log"),
            "log_variance_rate": (1.0, 300.0, "log"),
        },
        "augmentation": {"rotation_degrees": (0.0, 30.0, "linear")},
    }
    config = add_search(config, space)
    config.search.initial = 5
    return config
