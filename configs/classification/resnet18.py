"""ResNet18, the paper's baseline without attention (Table 4, row 1).

    mgajax train --config configs/classification/resnet18.py --workdir runs/resnet18 --data DIR

Reported by the paper: accuracy 93.05, F1 91.22, recall 85.63, precision 97.60, AUC 97.86.
These are COVID-vs-rest on its own, unpublished split; not yet measured here on the full set.
"""

from ml_collections import ConfigDict

from mgajax.config import classification


def get_config() -> ConfigDict:
    """This network under the defaults."""
    return classification("resnet18")
