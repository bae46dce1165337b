"""Table 3 on drawn slices, small enough for two CPU cores.

    mgajax experiment table3 --workdir runs/table3

Without --data the command uses this plan. All four have the same slices, size, steps, batch, optimiser
and augmentation; none is pretrained.
"""

from ml_collections import ConfigDict

from mgajax.config import fit_phantom, segmentation


def get_config() -> ConfigDict:
    """The paper's plan with a small, equal budget for each model."""
    plan = ConfigDict()
    plan.hmsanet = segmentation("hmsanet")
    plan.unet = segmentation("unet")
    plan.segnet = segmentation("segnet")
    plan.deeplabv3 = segmentation("deeplabv3_resnet50")
    for config in plan.values():
        fit_phantom(config)
        config.preparation.image_size = 96
        # Many small steps. Twice the batch, half the steps: DeepLabV3 0.65 instead of 0.71 of
        # validation Dice, HMSANet 0.52 instead of 0.49.
        config.batch_size = 4
        config.epochs = 6
        config.log_every = 40
        config.optimiser.learning_rate = 1e-3
    plan.hmsanet.model.options.trunk = "hrnet_w18"
    plan.hmsanet.model.options.repeats = "scanned"
    return plan
