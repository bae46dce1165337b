"""The paper's claims, on as few runs as can test them.

    mgajax experiment claims --workdir runs/claims --runs runs/shared [--data DATASET]

Three models of Table 4, and both tasks of Figure 8 at four sizes of the training set.
"""

from ml_collections import ConfigDict

from configs.experiments import fig8, three_resnets


def get_config() -> ConfigDict:
    """Entries of the two plans, which share their runs with this one."""
    plan = three_resnets.get_config()
    for name, config in fig8.arms((20, 30, 40, 80)).items():
        plan[name] = config
    return plan
