"""Figure 8 with as many steps at 20 to 40 % of the data as 80 % get: is it the slices or the steps?

    mgajax experiment checkpoint_choice --plan configs/experiments/equal_steps.py \\
        --workdir runs/equal_steps --runs runs/shared \\
        --config.single_20.epochs=100 --config.multi_20.epochs=100 \\
        --config.single_30.epochs=66 --config.multi_30.epochs=66 \\
        --config.single_40.epochs=50 --config.multi_40.epochs=50

A budget sets the epochs of every arm (25 for `small`), so the longer training is set in the command.
"""

from ml_collections import ConfigDict

from mgajax.config import data_size_arms


def get_config() -> ConfigDict:
    """Both tasks at 20 to 40 and 80 % of the data."""
    return data_size_arms((20, 30, 40, 80))
