"""Figures 8 and 9: single-task against multi-task over the size of the training set (Paper §6.3).

    mgajax experiment fig8 --workdir runs/fig8 --runs runs/shared [--data DATASET]
    mgajax experiment fig9 --workdir runs/fig9 --runs runs/shared [--data DATASET]

The simplified net has one CBAM, in stage 1. The two tasks differ in the guidance of its map alone.
The test set stays; the rest is dealt to training and validation by whole patients.
"""

from ml_collections import ConfigDict

from configs.classification import mga_resnet18, resnet18_cbam

PERCENTAGES = (10, 20, 30, 40, 50, 60, 70, 80, 90)


def get_config() -> ConfigDict:
    """A configuration for each task and percentage."""
    return arms(PERCENTAGES)


def arms(percentages: tuple[int, ...]) -> ConfigDict:
    """`single_20`, `multi_20`, … for each percentage of training slices."""
    plan = ConfigDict(sort_keys=False)  # rows stand in this order
    for percent in percentages:
        single, multi = resnet18_cbam.get_config(), mga_resnet18.get_config()
        multi.model.options.mga_stage = 1
        for name, config in (("single", single), ("multi", multi)):
            config.model.options.stages = (1,)
            config.split.kind = "fraction"
            config.split.fraction = percent / 100
            plan[f"{name}_{percent}"] = config
    return plan
