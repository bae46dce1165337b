"""Checks of a configuration, before anything is read or written."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from mgajax.config import check_keys, flatten, missing_keys
from mgajax.data.dataset import NORMAL_MASKS
from mgajax.data.preparation import Preparation
from mgajax.data.sampling import SAMPLINGS
from mgajax.errors import ConfigError, nearest
from mgajax.models.registry import CLASSIFIERS, SEGMENTERS
from mgajax.models.resize import RESIZE_METHODS
from mgajax.training.classification_losses import ATTENTION_LOSSES
from mgajax.training.feed import Residence
from mgajax.training.state import OPTIMISERS, SCHEDULES
from mgajax.training.tasks import SEGMENTATION_LOSSES, TaskName
from mgajax.training.weighting import FIXED, Weighting

MODELS: Mapping[str, Sequence[str]] = {
    TaskName.CLASSIFICATION: tuple(CLASSIFIERS),
    TaskName.SEGMENTATION: tuple(SEGMENTERS),
}

CHOICES: Mapping[str, Sequence[str]] = {
    "data.residence": [str(residence) for residence in Residence],
    "data.normal_mask": NORMAL_MASKS,
    "data.sampling": SAMPLINGS,
    "loss.weighting": (*map(str, Weighting), FIXED),
    "loss.attention_kind": ATTENTION_LOSSES,
    "loss.attention_resize": RESIZE_METHODS,
    "loss.kind": SEGMENTATION_LOSSES,
    "optimiser.name": OPTIMISERS,
    "optimiser.schedule": SCHEDULES,
}
"""Keys with a closed set of values. A task need not have all of them; options of model, split,
preparation and augmentation are checked where they are used."""

PREPARATION_KEY = "preparation"
"""In `config.json`, beside the configuration: see `fixed_preparation`."""

UNRECORDED_PREPARATION: Mapping[str, float] = {
    "margin": 0.02,
    "low_percentile": 0.5,
    "high_percentile": 99.5,
    "minimum_foreground": 0.1,
    "version": 2,
}
"""The preparation of older runs, which did not record it."""

MINIMUM: Mapping[str, float] = {
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
    "loss.dice_weight": 0.0,
    "loss.scale_weight": 0.0,
}


def check_settings(config: ConfigDict) -> None:
    """Refuse missing and unknown keys, and values outside their set or range.

    Raises:
      ConfigError: names the key, the value and what is valid.
    """
    flat = flatten(config)
    task = str(flat.get("task"))
    _check_choice("task", task, valid=list(MODELS))
    check_keys(config, source="the configuration")
    missing = missing_keys(config)
    if missing:
        raise ConfigError(
            f"{missing[0]} is missing from the configuration; begin with "
            f"`config = {task}(NETWORK)` of mgajax.config, which has every key"
        )
    for key, valid in {"model.name": MODELS[task], **CHOICES}.items():
        if key in flat:
            _check_choice(key, flat[key], valid=valid)
    for key, minimum in MINIMUM.items():
        if key in flat and not flat[key] >= minimum:
            raise ConfigError(f"{key}={flat[key]!r}: expected at least {minimum}")
    if not config.data.dir:
        raise ConfigError("data.dir is empty: give --data FOLDER, as printed by `mgajax build`")


def fixed_preparation(config: ConfigDict) -> dict[str, Any]:
    """Settings of the preparation that are no keys of `config.preparation`: the version of the
    algorithm, the body's margin, its two percentiles, and the least foreground."""
    settings = dataclasses.asdict(Preparation(**config.preparation))
    return {name: value for name, value in settings.items() if name not in config.preparation}


def check_preparation(config: ConfigDict, *, record: Mapping[str, Any], workdir: Path) -> None:
    """Refuse a run whose slices were prepared otherwise than by this program.

    Args:
      config: of the run.
      record: what its `config.json` holds beside the configuration.
      workdir: its folder.

    Raises:
      ConfigError: names the setting and both values.
    """
    current, recorded = (
        fixed_preparation(config),
        record.get(PREPARATION_KEY, UNRECORDED_PREPARATION),
    )
    for name in sorted(current.keys() | recorded.keys()):
        if recorded.get(name) == current.get(name):
            continue
        commit = record.get("provenance", {}).get("git_commit") or "unknown"
        raise ConfigError(
            f"{workdir}: its weights were trained on slices of preparation {name}="
            f"{recorded.get(name)!r}, this program prepares with {current.get(name)!r}; use the program "
            f"that made the run (commit {commit}), or train again in another --workdir (from "
            f"these weights: --config.init_from={workdir})"
        )


def _check_choice(key: str, value: object, *, valid: Sequence[str]) -> None:
    if value not in valid:
        raise ConfigError(f"{key}={value!r}: {nearest(str(value), list(valid))}")
