"""DenseNet121 (Table 4, row 3).

    mgajax train --config configs/classification/densenet121.py --workdir runs/densenet121 --data DIR

Reported by the paper: accuracy 93.37, F1 91.71, recall 86.97, precision 97.00, AUC 98.24.
These are COVID-vs-rest on its own, unpublished split; not yet measured here on the full set.
"""

from ml_collections import ConfigDict

from mgajax.config import classification


def get_config() -> ConfigDict:
    """This network under the defaults."""
    return classification("densenet121")
