"""ResNet18 + CBAM, attention without supervision (Table 4, row 4).

    mgajax train --config configs/classification/resnet18_cbam.py --workdir runs/resnet18_cbam --data DIR

Reported by the paper: accuracy 94.26, F1 92.93, recall 89.46, precision 96.69, AUC 98.41.
These are COVID-vs-rest on its own, unpublished split; not yet measured here on the full set.
"""

from ml_collections import ConfigDict

from configs.classification import common


def get_config() -> ConfigDict:
    """`common.get_config()` with this model."""
    config = common.get_config()
    config.model.name = "resnet18_cbam"
    # The stages that carry a CBAM; (1,) is the simplified net of the data-size study (Paper §6.3).
    config.model.options.stages = (1, 2, 3)
    # Where in a stage: last_block, stage_end, stage_end_residual or every_block.
    config.model.options.placement = "last_block"
    # paper (Eq. 2: [mean, max], no normalisation, no bias) or official (the CBAM authors' code).
    config.model.options.flavour = "paper"
    return config
