"""Table 4: five classifiers under the paper's protocol (Paper §5.2, §6.2).

    mgajax experiment table4 --workdir runs/table4 [--data DATASET]

Each entry is a whole configuration: `--config.resnet50.epochs=50` changes one key of one model.
"""

from ml_collections import ConfigDict

from mgajax.config import classification


def get_config() -> ConfigDict:
    """A configuration for each row of the table."""
    plan = ConfigDict(sort_keys=False)  # rows stand in this order
    for network in ("resnet18", "resnet50", "densenet121", "resnet18_cbam", "mga_resnet18"):
        plan[network] = classification(network)
    return plan
