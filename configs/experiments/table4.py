"""Table 4: five classifiers under the paper's protocol (Paper §5.2, §6.2).

    mgajax experiment table4 --workdir runs/table4 [--data DATASET]

Each entry is a whole configuration: `--config.resnet50.epochs=50` changes one key of one model.
"""

from ml_collections import ConfigDict

from configs.classification import densenet121, mga_resnet18, resnet18, resnet18_cbam, resnet50


def get_config() -> ConfigDict:
    """A configuration for each row of the table."""
    plan = ConfigDict(sort_keys=False)  # rows stand in this order
    plan.resnet18 = resnet18.get_config()
    plan.resnet50 = resnet50.get_config()
    plan.densenet121 = densenet121.get_config()
    plan.resnet18_cbam = resnet18_cbam.get_config()
    plan.mga_resnet18 = mga_resnet18.get_config()
    return plan
