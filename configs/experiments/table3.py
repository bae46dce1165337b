"""Table 3: four segmenters under the paper's protocol (Paper §5.1, §6.1).

    mgajax experiment table3 --data DATASET --workdir runs/table3

Each entry is a whole configuration: `--config.unet.epochs=50` changes one key of one model.
"""

from ml_collections import ConfigDict

from configs.segmentation import deeplabv3, hmsanet, segnet, unet


def get_config() -> ConfigDict:
    """A configuration for each row of the table."""
    plan = ConfigDict()
    plan.hmsanet = hmsanet.get_config()
    plan.unet = unet.get_config()
    plan.segnet = segnet.get_config()
    plan.deeplabv3 = deeplabv3.get_config()
    return plan
