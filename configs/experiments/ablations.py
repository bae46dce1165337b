"""The proposed model with one change at a time: of its readings, its losses, its masks.

    mgajax experiment ablations --workdir runs/ablations --runs runs/shared [--data DATASET]

Arms with `config.data.drawn` need drawn slices: they are about masks that are missing or predicted.
"""

from ml_collections import ConfigDict

from mgajax.config import classification

CHANGES = {
    "proposed": {},
    "cbam_every_block": {"model.options.placement": "every_block"},
    "cbam_stage_end": {"model.options.placement": "stage_end"},
    "cbam_stage_end_residual": {"model.options.placement": "stage_end_residual"},
    "cbam_official": {"model.options.flavour": "official"},
    "cbam_official_stage_end": {
        "model.options.flavour": "official",
        "model.options.placement": "stage_end",
    },
    "cbam_official_stage_end_residual": {
        "model.options.flavour": "official",
        "model.options.placement": "stage_end_residual",
    },
    "cbam_official_every_block": {
        "model.options.flavour": "official",
        "model.options.placement": "every_block",
    },
    "mga_stage_1": {"model.options.mga_stage": 1},
    "mga_stage_2": {"model.options.mga_stage": 2},
    "resize_bilinear": {"loss.attention_resize": "bilinear"},
    "resize_nearest": {"loss.attention_resize": "nearest"},
    "loss_l1": {"loss.attention_kind": "l1"},
    "weights_slow": {"optimiser.log_variance_rate": 1.0},
    "weights_sigma_slow": {
        "loss.weighting": "uncertainty_sigma",
        "optimiser.log_variance_rate": 1.0,
    },
    "weights_positive": {
        "loss.weighting": "uncertainty_positive",
        "optimiser.log_variance_rate": 10.0,
    },
    "weights_kendall": {"loss.weighting": "uncertainty_kendall"},
    "weights_fixed_1": {"loss.weighting": "fixed", "loss.attention_weight": 1.0},
    "weights_fixed_10": {"loss.weighting": "fixed", "loss.attention_weight": 10.0},
    "normals_unknown": {"data.normal_mask": "unknown"},
}
"""Keys that differ from the proposed model's, by arm."""

MASKS = {
    "masks_half": {"annotated": 0.5},
    "masks_predicted": {"annotated": 0.5, "masks": "binary"},
    "masks_predicted_soft": {"annotated": 0.5, "masks": "soft"},
}
"""Half of the patients have annotated lesions; those of the others are unknown or predicted by step 1."""


def get_config() -> ConfigDict:
    """The proposed model, the same without guidance, and each change."""
    plan = ConfigDict(sort_keys=False)
    for name, changes in CHANGES.items():
        plan[name] = classification("mga_resnet18")
        plan[name].update_from_flattened_dict(changes)
    plan.unguided = classification("resnet18_cbam")
    plan.lungs_and_lesions = classification("mga_resnet18")
    plan.lungs_and_lesions.model.options.lung_stage = 2
    for name, options in MASKS.items():
        plan[name] = classification("mga_resnet18")
        plan[name].data.drawn = ConfigDict(options)
    return plan
