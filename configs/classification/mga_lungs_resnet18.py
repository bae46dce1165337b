"""Lungs and lesions guide two attention maps: proposed in the paper's outlook (§7).

    mgajax train --config configs/classification/mga_lungs_resnet18.py --workdir runs/mga_lungs --data DIR

The lungs are found in the pictures by rule (`mgajax.data.lung_masks`). Measured on drawn slices in
docs/how-to/experiments.md.
"""

from ml_collections import ConfigDict

from mgajax.config import classification


def get_config() -> ConfigDict:
    """The proposed model with a second supervised map."""
    config = classification("mga_resnet18")
    # The stage whose attention map the lungs supervise; not that of the lesions.
    config.model.options.lung_stage = 2
    return config
