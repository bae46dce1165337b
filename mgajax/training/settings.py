"""What a configuration may say, checked before anything is read or written."""

from collections.abc import Mapping, Sequence

from ml_collections import ConfigDict

from mgajax.config import flatten, load
from mgajax.errors import ConfigError, nearest
from mgajax.models.registry import CLASSIFIERS
from mgajax.resize import METHODS
from mgajax.training.feed import NORMAL_MASKS, Residence
from mgajax.training.losses import ATTENTION_LOSSES
from mgajax.training.state import SCHEDULES

COMMON = "configs/classification/common.py"
UNCERTAINTY = "uncertainty"

CHOICES: Mapping[str, Sequence[str]] = {
    "task": ("classification",),
    "model.name": tuple(CLASSIFIERS),
    "data.residence": [str(residence) for residence in Residence],
    "data.normal_mask": NORMAL_MASKS,
    "loss.weighting": (UNCERTAINTY, "fixed"),
    "loss.attention_kind": ATTENTION_LOSSES,
    "loss.attention_resize": METHODS,
    "optimiser.schedule": SCHEDULES,
}
"""Keys with a closed set of values. (Options of model, split, preparation and augmentation are
checked by their own rooms; segmenters have no training loop yet.)"""

AT_LEAST: Mapping[str, float] = {
    "batch_size": 1,
    "eval_batch_size": 1,
    "epochs": 1,
    "log_every": 1,
    "seed": 0,
    "patience": 0,
    "max_steps": 0,
    "checkpoint_every": 0,
    "optimiser.learning_rate": 0.0,
    "optimiser.log_variance_rate": 0.0,
    "loss.attention_weight": 0.0,
}


def check_settings(config: ConfigDict) -> None:
    """Refuse missing keys and values outside their set or range.

    Raises:
      ConfigError: names the key, the value and what is valid.
    """
    flat = flatten(config)
    missing = sorted(flatten(load(COMMON)).keys() - flat.keys())
    if missing:
        raise ConfigError(
            f"{missing[0]} is missing from the configuration; begin with "
            f"`config = common.get_config()` of {COMMON}, which has every key"
        )
    for key, valid in CHOICES.items():
        if flat[key] not in valid:
            raise ConfigError(f"{key}={flat[key]!r}: {nearest(str(flat[key]), list(valid))}")
    for key, least in AT_LEAST.items():
        if not flat[key] >= least:
            raise ConfigError(f"{key}={flat[key]!r}: expected at least {least}")
    if not config.data.dir:
        raise ConfigError(
            "data.dir is empty: give --config.data.dir=FOLDER, as printed by `mgajax build`"
        )
