"""What every classifier of the paper is trained with (Paper §5.2); the files beside this one choose the model.

Not a run by itself: `mgajax train --config configs/classification/mga_resnet18.py ...`.
"""

from ml_collections import ConfigDict

from configs import shared


def get_config() -> ConfigDict:
    """The shared settings; a model's file sets `model.name` and what is special to it."""
    config = shared.get_config()
    config.task = "classification"

    config.loss = ConfigDict()
    # How the loss terms are weighted: fixed, uncertainty (Paper Eq. 6 by log variances), or other
    # ways to learn the weights: uncertainty_sigma, uncertainty_kendall, uncertainty_positive.
    config.loss.weighting = "uncertainty"
    # Weight of the attention term under `fixed`.
    config.loss.attention_weight = 1.0
    # Paper Eq. 4 read as a mean square (mse) or as printed (l1).
    config.loss.attention_kind = "mse"
    # How a mask is brought to the attention map's size.
    config.loss.attention_resize = "area"

    # Adam at 1e-4, annealed over 100 epochs of batches of 32 (Paper §5.2).
    config.optimiser.name = "adam"
    config.optimiser.learning_rate = 1e-4
    config.optimiser.schedule = "cosine"
    config.batch_size = 32
    config.epochs = 100
    # The log variances of Eq. 6 learn this many times faster: at one common rate they cannot
    # reach their optimum within 100 epochs.
    config.optimiser.log_variance_rate = 100.0
    return config
