"""ResNet18 plain, with attention, and with attention that lesions guide: the paper's argument.

    mgajax experiment fig10 --plan configs/experiments/three_resnets.py --workdir runs/fig10 \\
        --budget small --seeds 1

Any study that takes Table 4's plan takes this one.
"""

from ml_collections import ConfigDict

from mgajax.config import classification


def get_config() -> ConfigDict:
    """Three rows of Table 4."""
    plan = ConfigDict(sort_keys=False)  # rows stand in this order
    for network in ("resnet18", "resnet18_cbam", "mga_resnet18"):
        plan[network] = classification(network)
    return plan
