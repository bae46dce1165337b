"""Both steps of the paper on few real slices: four narrow segmenters, three classifiers.

    mgajax experiment real --slices DOWNLOAD --lesions DOWNLOAD --workdir runs/real --budget hours

Each entry is a whole configuration: `--config.unet.optimiser.learning_rate=3e-4` changes one key of
one network. Pixels, batch and steps come from the budget and are the same for all of a step.
Segmenters are narrower than the paper's, so that two CPU cores train them; with two classes and grey
slices they have

    HMSANet, hrnet_w18_small   1,720,948 parameters
    U-Net, width 16            1,942,306
    SegNet, width 16           1,844,978
    DeepLabV3, width 16        2,635,764

and take about as long a step. HMSANet and DeepLabV3 learn at three times the rate of the others and see
small sources more often, HMSANet from a trunk drawn by He's law (docs/explanation/segmentation.md says
on what that rests). The paper's widths are those of `configs/segmentation/`.
"""

from ml_collections import ConfigDict

from mgajax.config import classification, segmentation


def get_config() -> ConfigDict:
    """A configuration for each network; its task says in which step it is."""
    plan = ConfigDict(sort_keys=False)  # rows stand in this order
    plan.hmsanet = _segmenter(
        "hmsanet",
        trunk="hrnet_w18_small",
        repeats="scanned",
        statistics="per_scale",
        trunk_law="he",
    )
    plan.unet = _segmenter("unet", width=16)
    plan.segnet = _segmenter("segnet", width=16)
    plan.deeplabv3 = _segmenter("deeplabv3_resnet50", width=16)
    for network in ("hmsanet", "deeplabv3"):
        plan[network].optimiser.learning_rate = 3e-3
        plan[network].data.sampling = "sources"
    for network in ("resnet18", "resnet18_cbam", "mga_resnet18"):
        plan[network] = classification(network)
        plan[network].optimiser.learning_rate = 3e-4
    return plan


def _segmenter(network: str, **options: object) -> ConfigDict:
    """With Adam and soft Dice, for some hundred steps of the paper's loss find no lesion anywhere.

    Normal slices teach that there may be none.
    """
    config = segmentation(network)
    config.model.options.update(options)
    config.optimiser.name = "adam"
    config.optimiser.schedule = "cosine"
    config.optimiser.learning_rate = 1e-3
    config.loss.dice_weight = 1.0
    config.data.normal_mask = "empty"
    config.augmentation.scale = 0.2
    config.augmentation.translate = 0.1
    config.augmentation.rotation_degrees = 10.0
    return config
