"""ResNet18 + CBAM, attention without supervision (Table 4, row 4).

    mgajax train --config configs/classification/resnet18_cbam.py --workdir runs/resnet18_cbam --data DIR

Reported by the paper: accuracy 94.26, F1 92.93, recall 89.46, precision 96.69, AUC 98.41.
These are COVID-vs-rest on its own, unpublished split; not yet measured here on the full set.
"""

from ml_collections import ConfigDict

from mgajax.config import classification


def get_config() -> ConfigDict:
    """This network under the defaults."""
    return classification("resnet18_cbam")
