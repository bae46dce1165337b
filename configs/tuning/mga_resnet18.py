"""The proposed model's learning rates, batch and augmentation, judged on the validation slices.

    mgajax tune --config configs/tuning/mga_resnet18.py --workdir runs/tuning --trials 30 --data DIR

The paper tuned by Bayesian optimisation (package bayesian-optimization) and reports neither the space
nor the result; this space is ours. A trial is a whole training: 30 take 30 times as long.
"""

from ml_collections import ConfigDict

from mgajax.config import add_search, classification


def get_config() -> ConfigDict:
    """The proposed model with its search."""
    return add_search(
        classification("mga_resnet18"),
        {
            "optimiser": {
                "learning_rate": (1e-5, 1e-2, "log"),
                "log_variance_rate": (1.0, 300.0, "log"),
            },
            "batch_size": (16, 64, "log"),
            "augmentation": {
                "rotation_degrees": (0.0, 30.0, "linear"),
                "scale": (0.0, 0.3, "linear"),
                "gamma": (0.0, 0.6, "linear"),
            },
        },
    )
