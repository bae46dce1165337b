"""What a configuration may say, checked before anything is read or written."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from mgajax.config import check_keys, flatten, missing_keys
from mgajax.data.dataset import NORMAL_MASKS
from mgajax.data.preparation import Preparation
from mgajax.errors import ConfigError, nearest
from mgajax.models.registry import CLASSIFIERS, SEGMENTERS
from mgajax.models.resize import METHODS
from mgajax.training.feed import Residence
from mgajax.training.losses import ATTENTION_LOSSES
from mgajax.training.state import OPTIMISERS, SCHEDULES
from mgajax.training.tasks import SEGMENTATION_LOSSES, TaskName
from mgajax.training.weighting import FIXED, Form

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

PREPARATION = "preparation"
"""Where `config.json` has, beside the configuration, what else decided the prepared pixels."""

UNRECORDED: Mapping[str, float] = {
    "margin": 0.02,
    "low_percentile": 0.5,
    "high_percentile": 99.5,
    "minimum_foreground": 0.1,
    "version": 2,
}
"""That of runs from before it was written down."""

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
    for key, least in AT_LEAST.items():
        if key in flat and not flat[key] >= least:
            raise ConfigError(f"{key}={flat[key]!r}: expected at least {least}")
    if not config.data.dir:
        raise ConfigError("data.dir is empty: give --data FOLDER, as printed by `mgajax build`")


def fixed_preparation(config: ConfigDict) -> dict[str, Any]:
    """What decides prepared pixels and is no key of `config.preparation`: the version of the
    algorithm, the body's margin, its two percentiles, and the least foreground."""
    settings = dataclasses.asdict(Preparation(**config.preparation))
    return {name: value for name, value in settings.items() if name not in config.preparation}


def check_preparation(config: ConfigDict, *, kept: Mapping[str, Any], workdir: Path) -> None:
    """Refuse a run whose slices were prepared in another way than this program prepares them.

    Args:
      config: of the run.
      kept: what its `config.json` has beside the configuration.
      workdir: its folder.

    Raises:
      ConfigError: names the setting and both values.
    """
    now, then = fixed_preparation(config), kept.get(PREPARATION, UNRECORDED)
    for name in sorted(now.keys() | then.keys()):
        if then.get(name) == now.get(name):
            continue
        commit = kept.get("provenance", {}).get("git_commit") or "unknown"
        raise ConfigError(
            f"{workdir}: its weights were trained on slices of preparation {name}="
            f"{then.get(name)!r}, this program prepares with {now.get(name)!r}; use the program "
            f"that made the run (commit {commit}), or train again in another --workdir (from "
            f"these weights: --config.init_from={workdir})"
        )


def _check_choice(key: str, value: object, *, valid: Sequence[str]) -> None:
    if value not in valid:
        raise ConfigError(f"{key}={value!r}: {nearest(str(value), list(valid))}")
