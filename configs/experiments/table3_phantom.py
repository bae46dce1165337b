"""Table 3 on drawn slices, small enough for two CPU cores.

    mgajax build ct_phantom --builder_config small
    mgajax experiment table3 --plan configs/experiments/table3_phantom.py \\
        --data tensorflow_datasets/ct_phantom/small --workdir runs/table3_phantom

The same slices, size, steps, batch, optimiser and augmentation for all four; nobody is pretrained.
"""

from ml_collections import ConfigDict

from configs.experiments import table3


def get_config() -> ConfigDict:
    """The paper's plan with a small, equal budget for each model."""
    plan = table3.get_config()
    for config in plan.values():
        config.preparation.image_size = 96
        config.batch_size = 8
        config.epochs = 6
        config.patience = 0
        config.log_every = 20
        # Adam: from random weights, SGD at the paper's rate is still at "no lesion anywhere"
        # when this budget ends.
        config.optimiser.name = "adam"
        config.optimiser.learning_rate = 1e-3
        config.optimiser.schedule = "cosine"
        # Lesions are a few pixels wide here.
        config.augmentation.scale = 0.2
        config.augmentation.translate = 0.1
    plan.hmsanet.model.options.trunk = "hrnet_w18"
    plan.hmsanet.model.options.repeats = "scanned"
    return plan
