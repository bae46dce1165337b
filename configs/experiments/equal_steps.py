"""Figure 8 with as many steps at 20 % of the data as 80 % get: is it the slices or the steps?

    mgajax experiment fig8 --plan configs/experiments/equal_steps.py --workdir runs/equal_steps \\
        --runs runs/shared --config.single_20.epochs=100 --config.multi_20.epochs=100

A budget sets the epochs of every arm, so the longer training stands in the command.
"""

from ml_collections import ConfigDict

from configs.experiments import fig8


def get_config() -> ConfigDict:
    """Both tasks at 20 and 80 % of the data."""
    return fig8.arms((20, 80))
