"""SegNet (Table 3, row 1).

    mgajax train --config configs/segmentation/segnet.py --workdir runs/segnet --data DIR

Reported by the paper: IoU 43.48, Dice 60.60, precision 50.00, recall 76.92 (the last two probably
exchanged, see `mgajax.evaluation.segmentation`). Not yet measured here on the full set.
"""

from ml_collections import ConfigDict

from mgajax.config import segmentation


def get_config() -> ConfigDict:
    """This network under the defaults."""
    return segmentation("segnet")
