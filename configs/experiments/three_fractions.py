"""Figures 8 and 9 at three of their nine sizes of the training set, which two CPU cores manage.

    mgajax experiment fig8 --plan configs/experiments/three_fractions.py --workdir runs/fig8 --runs runs/shared

After `claims` on the same `--runs` nothing is left to train.
"""

from ml_collections import ConfigDict

from configs.experiments import fig8


def get_config() -> ConfigDict:
    """Both tasks at 20, 40 and 80 % of the data."""
    return fig8.arms((20, 40, 80))
