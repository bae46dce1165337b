"""The whole chain on drawn data, small enough for two CPU cores.

    mgajax quickstart

120 drawn patients with four slices each; the lesions of half of them are annotated. Step 1 trains on
those and predicts the other masks; step 2 trains classes and attention on all.
"""

from ml_collections import ConfigDict

from mgajax.config import fit_phantom, phantom_classifier, segmentation


def get_config() -> ConfigDict:
    """One configuration a step."""
    plan = ConfigDict()
    plan.segmentation = segmenter()
    plan.classification = phantom_classifier()
    return plan


def segmenter() -> ConfigDict:
    """HMSANet with the smallest trunk."""
    config = segmentation("hmsanet")
    fit_phantom(config)
    config.model.options.trunk = "hrnet_tiny"
    config.model.options.repeats = "scanned"
    config.preparation.image_size = 128
    config.batch_size = 8
    config.eval_batch_size = 16
    config.epochs = 16
    config.log_every = 5
    config.optimiser.learning_rate = 3e-3
    return config
