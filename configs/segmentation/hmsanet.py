"""HMSANet: HRNet-W48, object-contextual representations, attention between scales (Table 3, row 4).

    mgajax train --config configs/segmentation/hmsanet.py --workdir runs/hmsanet --data DIR

Reported by the paper: IoU 74.63, Dice 85.47, precision 84.03, recall 86.96 (the last two probably
exchanged, see `mgajax.evaluation.segmentation`). Not yet measured here on the full set.
"""

from ml_collections import ConfigDict

from configs.segmentation import common


def get_config() -> ConfigDict:
    """`common.get_config()` with this model."""
    config = common.get_config()
    config.model.name = "hmsanet"
    # hrnet_w48 (the paper's), hrnet_w32, hrnet_w18, or hrnet_tiny with narrow heads for a CPU.
    config.model.options.trunk = "hrnet_w48"
    # Scales of inference, 1.0 among them; training sees 0.5 and 1.0.
    config.model.options.scales = (0.5, 1.0)
    # Share of channels dropped before the last layer in training.
    config.model.options.dropout = 0.05
    # unrolled, or scanned: compiles in a third of the time; steps of the wide trunks get slower.
    config.model.options.repeats = "unrolled"
    # none, or modules: recompute activations in the backward pass, for less memory.
    config.model.options.remat = "none"
    return config
