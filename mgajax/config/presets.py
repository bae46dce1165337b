"""Settings that several files of `configs/` share."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ml_collections import ConfigDict

from mgajax.config.schema import SearchSettings, classification


def fit_phantom(config: ConfigDict) -> None:
    """Settings of a segmenter for random weights, small drawn slices and minutes on a CPU."""
    # Without early stopping: a model may not improve for many epochs before it finds a lesion.
    config.patience = 0
    # From random weights, SGD at the paper's rate is still at "no lesion anywhere" after minutes.
    config.optimiser.name = "adam"
    config.optimiser.schedule = "cosine"
    # Lesions are a few pixels wide there.
    config.augmentation.scale = 0.2
    config.augmentation.translate = 0.1


def phantom_classifier() -> ConfigDict:
    """The proposed model on small drawn slices, for a few epochs at a higher rate."""
    config = classification("mga_resnet18")
    config.preparation.image_size = 64
    config.optimiser.learning_rate = 1e-3
    config.epochs = 25
    config.patience = 0
    config.log_every = 5
    return config


def data_size_arms(percentages: Sequence[int]) -> ConfigDict:
    """`single_20`, `multi_20`, … for each percentage of training slices (Paper §6.3).

    The simplified network has one CBAM, in stage 1. The two tasks differ only in the guidance of its
    map.
    """
    plan = ConfigDict(sort_keys=False)  # the order of the rows
    for percent in percentages:
        single, multi = classification("resnet18_cbam"), classification("mga_resnet18")
        multi.model.options.mga_stage = 1
        for name, config in (("single", single), ("multi", multi)):
            config.model.options.stages = (1,)
            config.split.kind = "fraction"
            config.split.fraction = percent / 100
            plan[f"{name}_{percent}"] = config
    return plan


def add_search(config: ConfigDict, space: Mapping[str, Any]) -> ConfigDict:
    """Give `config` a search for `mgajax tune`.

    Args:
      config: of a trial, but for the searched keys.
      space: nested as the configuration; each searched key is (lowest, highest, scale), the scale
        "linear" or "log".
    """
    config.search = ConfigDict(asdict(SearchSettings()) | {"space": dict(space)})
    return config
