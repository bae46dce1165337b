"""Figures 8 and 9: single-task against multi-task over the size of the training set (Paper §6.3).

    mgajax experiment fig8 --workdir runs/fig8 --runs runs/shared [--data DATASET]
    mgajax experiment fig9 --workdir runs/fig9 --runs runs/shared [--data DATASET]

The simplified net has one CBAM, in stage 1. The two tasks differ in the guidance of its map alone.
The test set stays; the rest is dealt to training and validation by whole patients.
"""

from ml_collections import ConfigDict

from mgajax.config import data_size_arms

PERCENTAGES = (10, 20, 30, 40, 50, 60, 70, 80, 90)


def get_config() -> ConfigDict:
    """A configuration for each task and percentage."""
    return data_size_arms(PERCENTAGES)
