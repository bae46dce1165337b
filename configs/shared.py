"""What every run has, whatever it learns; `classification/common.py` and `segmentation/common.py` add their own.

Not a run by itself.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """The keys that both tasks share."""
    config = ConfigDict()

    # Set by the task: classification or segmentation.
    config.task = ""
    # One seed for parameters, data order and augmentation; each step folds its number in.
    config.seed = 0

    config.model = ConfigDict()
    # Set by the model's own file.
    config.model.name = ""
    # Type of the activations: float32, or bfloat16 (parameters and statistics stay float32). For
    # checks float64, parameters too: start Python under JAX_ENABLE_X64=true.
    config.model.dtype = "float32"
    # Model-specific options, e.g. placement, stages, trunk.
    config.model.options = ConfigDict()
    # Start from these weights instead of drawn ones: a run's folder, a checkpoint, an export, or a
    # PyTorch file (torchvision's ResNet and DenseNet, NVIDIA's HMSANet, ImageNet HRNet). Read once,
    # before the first step; init_from.txt in the run's folder accounts for every array.
    config.init_from = ""

    config.data = ConfigDict()
    # Folder of the built data set (`mgajax build` prints it). Must be given.
    config.data.dir = ""
    # Where prepared slices are cached; empty: beside the data set.
    config.data.cache_dir = ""
    # Where batches are gathered: auto (device when the set fits), device, or host.
    config.data.residence = "auto"
    # What a Normal slice without any mask says: empty (no lesion by definition) or unknown.
    config.data.normal_mask = "empty"

    # What is done to a slice once, before it is cached (Paper Fig. 3b).
    config.preparation = ConfigDict()
    # Side of the model's square input in pixels. The paper does not state it; the first
    # author's public code uses 224.
    config.preparation.image_size = 224
    # What lies outside the body: remove or keep.
    config.preparation.background = "remove"
    # Cut to the body's bounding box: foreground or none.
    config.preparation.crop = "foreground"
    # Stretch the body's grey levels: foreground or none.
    config.preparation.normalise = "foreground"
    # keep pads to a square, stretch distorts to one.
    config.preparation.aspect = "keep"
    # stored, or upright to turn over the slices that two sources store upside down.
    config.preparation.orientation = "stored"

    config.split = ConfigDict()
    # built | table2 | stratified | fraction | kfold | leave_one_source_out | csv, or leaking_slices:
    # slices dealt out one by one, so that patients stand in several splits (never for a result).
    config.split.kind = "built"
    # fraction: share of train + validation that trains (Paper §6.3: 0.7 was best); test stays.
    config.split.fraction = 0.7
    # kfold: how many folds, and which of them (from 0) is the test set.
    config.split.k = 5
    config.split.fold = 0
    # leave_one_source_out: the source that becomes the test set.
    config.split.source = ""
    # csv: a table with the columns file_name and split.
    config.split.path = ""

    # The paper does not describe its augmentation. Each amount is 0 for "off".
    config.augmentation = ConfigDict()
    # Probability of mirroring left and right.
    config.augmentation.flip = 0.5
    # Largest rotation in degrees, either way.
    config.augmentation.rotation_degrees = 10.0
    # Largest relative change of size: 0.1 draws from [0.9, 1.1].
    config.augmentation.scale = 0.1
    # Largest shift along each axis, as a share of the image's side.
    config.augmentation.translate = 0.05
    # Largest relative change of brightness.
    config.augmentation.brightness = 0.1
    # Largest strength of the contrast curve.
    config.augmentation.contrast = 0.2
    # Grey-level exponents are drawn between 1 / (1 + x) and 1 + x.
    config.augmentation.gamma = 0.2
    # Standard deviation of added noise, in units of the full grey range.
    config.augmentation.noise = 0.0

    config.optimiser = ConfigDict()
    # adam or sgd.
    config.optimiser.name = "adam"
    config.optimiser.learning_rate = 1e-4
    # constant, cosine or poly (the last two fall to zero over all steps).
    config.optimiser.schedule = "cosine"
    # Exponent of poly.
    config.optimiser.power = 1.0
    # Momentum and weight decay of sgd; the decay acts on every parameter.
    config.optimiser.momentum = 0.9
    config.optimiser.weight_decay = 0.0
    # Learned loss weights (Paper Eq. 6) learn this many times faster than the model.
    config.optimiser.log_variance_rate = 1.0

    # Images a step in all, over every device of every host.
    config.batch_size = 32
    # Images a step in evaluation; rounded up to a multiple of the devices.
    config.eval_batch_size = 64
    # At most so many passes over the training slices.
    config.epochs = 100
    # Stop when the validation slices' cross-entropy (a classifier) or Dice (a segmenter) has not
    # improved for so many epochs; 0: never.
    config.patience = 10
    # Stop after so many steps in all, whatever the epochs say; 0: no such limit.
    config.max_steps = 0

    # How one step spreads over devices: pmap, shard_map or jit; all give the same numbers.
    config.parallel = "pmap"
    # Use so many local devices; 0: all.
    config.devices = 0
    # Write training metrics every so many steps.
    config.log_every = 50
    # Save every so many steps, beside the save after each epoch; 0: after epochs only.
    config.checkpoint_every = 0
    # Where checkpoints go: empty for the run's own folder, or one folder for this run alone that
    # every host sees, also in a bucket: gs://BUCKET/RUN (package gcsfs, or TensorFlow).
    config.checkpoint_dir = ""
    return config
