"""ResNet18 + CBAM + mask-guided attention, the proposed model (Table 4, row 5; Table 5).

    mgajax train --config configs/classification/mga_resnet18.py --workdir runs/mga_resnet18 --data DIR

Reported by the paper: accuracy 95.15, F1 94.07, recall 91.05, precision 97.30, AUC 98.59.
These are COVID-vs-rest on its own, unpublished split; not yet measured here on the full set.
"""

from ml_collections import ConfigDict

from mgajax.config import classification


def get_config() -> ConfigDict:
    """This network under the defaults."""
    return classification("mga_resnet18")
