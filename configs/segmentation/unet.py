"""U-Net (Table 3, row 2).

    mgajax train --config configs/segmentation/unet.py --workdir runs/unet --data DIR

Reported by the paper: IoU 54.05, Dice 70.17, precision 68.50, recall 71.94 (the last two probably
exchanged, see `mgajax.evaluation.segmentation`). Not yet measured here on the full set.
"""

from ml_collections import ConfigDict

from mgajax.config import segmentation


def get_config() -> ConfigDict:
    """This network under the defaults."""
    return segmentation("unet")
