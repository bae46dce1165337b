"""The paper's claims, tested with as few runs as possible.

    mgajax experiment claims --workdir runs/claims --runs runs/shared [--data DATASET]

Three models of Table 4, and both tasks of Figure 8 at four sizes of the training set.
"""

from ml_collections import ConfigDict

from mgajax.config import classification, data_size_arms


def get_config() -> ConfigDict:
    """Three rows of Table 4, and Figure 8 at four sizes; both plans share their runs with this one."""
    plan = ConfigDict(sort_keys=False)
    for network in ("resnet18", "resnet18_cbam", "mga_resnet18"):
        plan[network] = classification(network)
    for name, config in data_size_arms((20, 30, 40, 80)).items():
        plan[name] = config
    return plan
