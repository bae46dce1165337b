"""What several files of `configs/` share beside the schema's defaults."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ml_collections import ConfigDict

from mgajax.config.schema import SearchSettings, classification


def fit_phantom(config: ConfigDict) -> None:
    """Set what random weights, drawn slices of few pixels and minutes of a CPU ask of a segmenter."""
    # Every epoch: a model may find no lesion for a long time, and be no better.
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

    The simplified net has one CBAM, in stage 1. The two tasks differ in the guidance of its map
    alone.
    """
    plan = ConfigDict(sort_keys=False)  # rows stand in this order
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
      config: what a trial trains, but for the searched keys.
      space: nested as the configuration; each searched key is (lowest, highest, scale), the scale
        "linear" or "log".
    """
    config.search = ConfigDict(asdict(SearchSettings()) | {"space": dict(space)})
    return config
