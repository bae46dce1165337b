"""DeepLabV3 on ResNet-50, output stride 8, with its auxiliary head (Table 3, row 3).

    mgajax train --config configs/segmentation/deeplabv3.py --workdir runs/deeplabv3 --data DIR

`--config.model.name=deeplabv3_resnet101` is the deeper one. Its pooled branch needs two images a step.
Reported by the paper: IoU 70.42, Dice 82.64, precision 81.96, recall 83.33 (the last two probably
exchanged, see `mgajax.evaluation.segmentation`). Not yet measured here on the full set.
"""

from ml_collections import ConfigDict

from mgajax.config import segmentation


def get_config() -> ConfigDict:
    """This network under the defaults."""
    return segmentation("deeplabv3_resnet50")
