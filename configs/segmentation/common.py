"""What every segmenter is trained with (Paper §5.1); the files beside this one choose the model.

Not a run by itself: `mgajax train --config configs/segmentation/hmsanet.py ...`.
"""

from ml_collections import ConfigDict

from configs import shared


def get_config() -> ConfigDict:
    """The shared settings; a model's file sets `model.name` and what is special to it."""
    config = shared.get_config()
    config.task = "segmentation"

    # The frames of the lesion set are mostly 512 pixels wide; the paper does not state its size.
    config.preparation.image_size = 512
    # Only slices with an annotated mask are examples; `empty` adds Normal slices without one.
    config.data.normal_mask = "unknown"

    config.loss = ConfigDict()
    # cross_entropy (Paper §5.1), or rmi: half binary cross-entropy, half region mutual
    # information (Tao et al. 2020).
    config.loss.kind = "cross_entropy"
    # Weight of the coarse prediction of HMSANet and DeepLabV3 (0.4 in Tao et al.'s code).
    config.loss.auxiliary_weight = 0.4
    # Weight of each scale's own prediction (HMSANet): 0, or 0.05 as in Tao et al.'s Cityscapes runs.
    config.loss.scale_weight = 0.0

    # Stochastic gradient descent (Paper §5.1).
    config.optimiser.name = "sgd"
    config.optimiser.learning_rate = 0.01
    config.optimiser.momentum = 0.9
    config.optimiser.weight_decay = 5e-4
    # The paper names no schedule; the base paper's code decays linearly (poly, exponent 1).
    config.optimiser.schedule = "poly"

    # The base paper's augmentation: scale, crop, flip, grey levels; no rotation.
    config.augmentation.rotation_degrees = 0.0
    # Zoom in [0.5, 1.5] with shifts by up to a quarter: a random crop, or a smaller picture.
    config.augmentation.scale = 0.5
    config.augmentation.translate = 0.25
    config.augmentation.brightness = 0.25
    config.augmentation.contrast = 0.25

    # One image a device on the paper's four GPUs; batch statistics are those of all four.
    config.batch_size = 4
    config.eval_batch_size = 4
    # The paper gives no number.
    config.epochs = 100
    config.patience = 20
    return config


def fit_phantom(config: ConfigDict) -> None:
    """Set what random weights, drawn slices of few pixels and minutes of a CPU ask for."""
    # Every epoch: a model may find no lesion for a long time, and be no better.
    config.patience = 0
    # From random weights, SGD at the paper's rate is still at "no lesion anywhere" after minutes.
    config.optimiser.name = "adam"
    config.optimiser.schedule = "cosine"
    # Lesions are a few pixels wide there.
    config.augmentation.scale = 0.2
    config.augmentation.translate = 0.1
