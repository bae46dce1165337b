"""DeepLabV3 on ResNet-50, output stride 8, with its auxiliary head (Table 3, row 3).

    mgajax train --config configs/segmentation/deeplabv3.py --workdir runs/deeplabv3 --data DIR

`--config.model.name=deeplabv3_resnet101` is the deeper one. Its pooled branch needs two images a step.
Reported by the paper: IoU 70.42, Dice 82.64, precision 81.96, recall 83.33 (the last two probably
exchanged, see `mgajax.evaluation.segmentation`). Not yet measured here on the full set.
"""

from ml_collections import ConfigDict

from configs.segmentation import common


def get_config() -> ConfigDict:
    """`common.get_config()` with this model."""
    config = common.get_config()
    config.model.name = "deeplabv3_resnet50"
    # Dropout before the last layer of the main and of the auxiliary head.
    config.model.options.dropout = 0.5
    config.model.options.auxiliary_dropout = 0.1
    # torchvision's weight of the auxiliary head.
    config.loss.auxiliary_weight = 0.5
    return config
