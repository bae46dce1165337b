"""Table 3: four segmenters under the paper's protocol (Paper §5.1, §6.1).

    mgajax experiment table3 --data DATASET --workdir runs/table3

Each entry is a whole configuration: `--config.unet.epochs=50` changes one key of one model.
"""

from ml_collections import ConfigDict

from mgajax.config import segmentation


def get_config() -> ConfigDict:
    """A configuration for each row of the table."""
    plan = ConfigDict()
    plan.hmsanet = segmentation("hmsanet")
    plan.unet = segmentation("unet")
    plan.segnet = segmentation("segnet")
    plan.deeplabv3 = segmentation("deeplabv3_resnet50")
    return plan
