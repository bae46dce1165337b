"""What a configuration may say, checked before anything is read or written."""

from collections.abc import Mapping, Sequence

from ml_collections import ConfigDict

from mgajax.config import flatten, load
from mgajax.errors import ConfigError, nearest
from mgajax.models.registry import CLASSIFIERS, SEGMENTERS
from mgajax.models.resize import METHODS
from mgajax.training.feed import NORMAL_MASKS, Residence
from mgajax.training.losses import ATTENTION_LOSSES
from mgajax.training.state import OPTIMISERS, SCHEDULES
from mgajax.training.tasks import SEGMENTATION_LOSSES, TaskName
from mgajax.training.weighting import FIXED, Form

COMMON: Mapping[str, str] = {task: f"configs/{task}/common.py" for task in TaskName}
"""The file that has every key of a task."""

MODELS: Mapping[str, Sequence[str]] = {
    TaskName.CLASSIFICATION: tuple(CLASSIFIERS),
    TaskName.SEGMENTATION: tuple(SEGMENTERS),
}

CHOICES: Mapping[str, Sequence[str]] = {
    "data.residence": [str(residence) for residence in Residence],
    "data.normal_mask": NORMAL_MASKS,
    "loss.weighting": (*map(str, Form), FIXED),
    "loss.attention_kind": ATTENTION_LOSSES,
    "loss.attention_resize": METHODS,
    "loss.kind": SEGMENTATION_LOSSES,
    "optimiser.name": OPTIMISERS,
    "optimiser.schedule": SCHEDULES,
}
"""Keys with a closed set of values, where a task has them. (Options of model, split, preparation
and augmentation are checked by their own rooms.)"""

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
    "optimiser.momentum": 0.0,
    "optimiser.weight_decay": 0.0,
    "optimiser.power": 0.0,
    "loss.attention_weight": 0.0,
    "loss.auxiliary_weight": 0.0,
    "loss.scale_weight": 0.0,
}


def check_settings(config: ConfigDict) -> None:
    """Refuse missing keys and values outside their set or range.

    Raises:
      ConfigError: names the key, the value and what is valid.
    """
    flat = flatten(config)
    task = str(flat.get("task"))
    _check_choice("task", task, valid=list(COMMON))
    missing = sorted(flatten(load(COMMON[task])).keys() - flat.keys())
    if missing:
        raise ConfigError(
            f"{missing[0]} is missing from the configuration; begin with "
            f"`config = common.get_config()` of {COMMON[task]}, which has every key"
        )
    for key, valid in {"model.name": MODELS[task], **CHOICES}.items():
        if key in flat:
            _check_choice(key, flat[key], valid=valid)
    for key, least in AT_LEAST.items():
        if key in flat and not flat[key] >= least:
            raise ConfigError(f"{key}={flat[key]!r}: expected at least {least}")
    if not config.data.dir:
        raise ConfigError("data.dir is empty: give --data FOLDER, as printed by `mgajax build`")


def _check_choice(key: str, value: object, *, valid: Sequence[str]) -> None:
    if value not in valid:
        raise ConfigError(f"{key}={value!r}: {nearest(str(value), list(valid))}")
