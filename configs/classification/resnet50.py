"""ResNet50 (Table 4, row 2).

    mgajax train --config configs/classification/resnet50.py --workdir runs/resnet50 --data DIR

Reported by the paper: accuracy 93.86, F1 92.34, recall 87.74, precision 97.45, AUC 97.90.
These are COVID-vs-rest on its own, unpublished split; not yet measured here on the full set.
"""

from ml_collections import ConfigDict

from mgajax.config import classification


def get_config() -> ConfigDict:
    """This network under the defaults."""
    return classification("resnet50")
