"""Figures 8 and 9: single-task against multi-task over the size of the training set (Paper §6.3).

    mgajax experiment fig8 --workdir runs/fig8 --runs runs/shared [--data DATASET]
    mgajax experiment fig9 --workdir runs/fig9 --runs runs/shared [--data DATASET]

The simplified network has one CBAM, in stage 1; the two tasks differ only in the guidance of its map.
The test set is fixed; the other patients are divided into training and validation.
"""

from ml_collections import ConfigDict

from mgajax.config import data_size_arms

PERCENTAGES = (10, 20, 30, 40, 50, 60, 70, 80, 90)


def get_config() -> ConfigDict:
    """A configuration for each task and percentage."""
    return data_size_arms(PERCENTAGES)
