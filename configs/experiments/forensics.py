"""Two rows of Table 4, whose predictions are read in every way that the paper's might have been.

mgajax experiment forensics --workdir runs/forensics --runs runs/shared [--data DATASET]
"""

from ml_collections import ConfigDict

from configs.experiments import table4


def get_config() -> ConfigDict:
    """The best baseline and the proposed model."""
    models = table4.get_config()
    plan = ConfigDict(sort_keys=False)
    for name in ("resnet18_cbam", "mga_resnet18"):
        plan[name] = models[name]
    return plan
