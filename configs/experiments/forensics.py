"""Two rows of Table 4: their predictions under every definition of the metrics that the paper may mean.

mgajax experiment forensics --workdir runs/forensics --runs runs/shared [--data DATASET]
"""

from ml_collections import ConfigDict

from mgajax.config import classification


def get_config() -> ConfigDict:
    """The best baseline and the proposed model."""
    plan = ConfigDict(sort_keys=False)  # rows stand in this order
    for network in ("resnet18_cbam", "mga_resnet18"):
        plan[network] = classification(network)
    return plan
