"""ResNet18 + CBAM + mask-guided attention, the proposed model (Table 4, row 5; Table 5).

    mgajax train --config configs/classification/mga_resnet18.py --workdir runs/mga_resnet18 --data DIR

Reported by the paper: accuracy 95.15, F1 94.07, recall 91.05, precision 97.30, AUC 98.59.
These are COVID-vs-rest on its own, unpublished split; not yet measured here on the full set.
"""

from ml_collections import ConfigDict

from configs.classification import common


def get_config() -> ConfigDict:
    """`common.get_config()` with this model."""
    config = common.get_config()
    config.model.name = "mga_resnet18"
    # The stages that carry a CBAM; (1,) is the simplified net of the data-size study (Paper §6.3).
    config.model.options.stages = (1, 2, 3)
    # Where in a stage: last_block, stage_end, stage_end_residual or every_block.
    config.model.options.placement = "last_block"
    # paper (Eq. 2: [mean, max], no normalisation, no bias) or official (the CBAM authors' code).
    config.model.options.flavour = "paper"
    # The stage whose attention map the lesion mask supervises (Paper §6.3: the third is best).
    config.model.options.mga_stage = 3
    return config
