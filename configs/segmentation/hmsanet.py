"""HMSANet: HRNet-W48, object-contextual representations, attention between scales (Table 3, row 4).

    mgajax train --config configs/segmentation/hmsanet.py --workdir runs/hmsanet --data DIR

Reported by the paper: IoU 74.63, Dice 85.47, precision 84.03, recall 86.96 (the last two probably
exchanged, see `mgajax.evaluation.segmentation`). Not yet measured here on the full set.
"""

from ml_collections import ConfigDict

from mgajax.config import segmentation


def get_config() -> ConfigDict:
    """This network under the defaults."""
    return segmentation("hmsanet")
