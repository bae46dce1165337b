"""Every key of a run, with its default: the paper's value where it gives one.

`classification(network)` and `segmentation(network)` give the keys as a `ConfigDict`, from which the
files of `configs/` start. A new key is a line here; older runs have its default.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from ml_collections import ConfigDict

from mgajax.errors import ConfigError, nearest


@dataclass(frozen=True)
class NetworkOptions:
    """`config.model.options` of a network that has none to tune."""


@dataclass(frozen=True)
class AttentionOptions(NetworkOptions):
    """Of `resnet18_cbam`."""

    # The stages that carry a CBAM; (1,) is the simplified net of the data-size study (Paper §6.3).
    stages: tuple[int, ...] = (1, 2, 3)
    # Where in a stage: last_block, stage_end, stage_end_residual or every_block.
    placement: str = "last_block"
    # paper (Eq. 2: [mean, max], no normalisation, no bias) or official (the CBAM authors' code).
    flavour: str = "paper"


@dataclass(frozen=True)
class GuidedOptions(AttentionOptions):
    """Of `mga_resnet18`."""

    # The stage whose attention map the lesion mask supervises (Paper §6.3: the third is best).
    mga_stage: int = 3


@dataclass(frozen=True)
class UnetOptions(NetworkOptions):
    """Of `unet`."""

    # transposed (learned) or bilinear.
    upsampling: str = "transposed"


@dataclass(frozen=True)
class DeeplabOptions(NetworkOptions):
    """Of `deeplabv3_resnet50` and `deeplabv3_resnet101`."""

    # Dropout before the last layer of the main and of the auxiliary head.
    dropout: float = 0.5
    auxiliary_dropout: float = 0.1


@dataclass(frozen=True)
class HmsanetOptions(NetworkOptions):
    """Of `hmsanet`."""

    # hrnet_w48 (the paper's), hrnet_w32, hrnet_w18; for a CPU, with narrow heads, hrnet_w18_small or
    # hrnet_tiny.
    trunk: str = "hrnet_w48"
    # Scales of inference, 1.0 among them; training sees 0.5 and 1.0.
    scales: tuple[float, ...] = (0.5, 1.0)
    # Share of channels dropped before the last layer in training.
    dropout: float = 0.05
    # unrolled, or scanned: compiles in a third of the time; steps of the wide trunks get slower.
    repeats: str = "unrolled"
    # none, or modules: recompute activations in the backward pass, for less memory.
    remat: str = "none"
    # Running statistics: shared by all scales (as published), or per_scale.
    statistics: str = "shared"
    # How the trunk is drawn where no weights replace it: published (deviation 0.001), or he.
    trunk_law: str = "published"


@dataclass(frozen=True)
class ModelSettings:
    """`config.model`."""

    # One of `mgajax.models.names()`.
    name: str
    # Of this network alone; `mgajax.models.options(name)` lists further ones.
    options: NetworkOptions = NetworkOptions()
    # Type of the activations: float32, or bfloat16 (parameters and statistics stay float32). For
    # checks float64, parameters too: start Python under JAX_ENABLE_X64=true.
    dtype: str = "float32"


@dataclass(frozen=True)
class DataSettings:
    """`config.data`."""

    # Folder of the built data set (`mgajax build` prints it). Must be given.
    dir: str = ""
    # Where prepared slices are cached; empty: beside the data set.
    cache_dir: str = ""
    # Where batches are gathered: auto (device when the set fits), device, or host.
    residence: str = "auto"
    # What a Normal slice without any mask says: empty (no lesion by definition) or unknown.
    normal_mask: str = "empty"
    # How often a training slice comes in an epoch: once (slices), or those of small sources more often
    # (sources: shares go with the square root of a source's slices).
    sampling: str = "slices"


@dataclass(frozen=True)
class PreparationSettings:
    """`config.preparation`: what is done to a slice once, before it is cached (Paper Fig. 3b)."""

    # Side of the model's square input in pixels. The paper does not state it; the first
    # author's public code uses 224.
    image_size: int = 224
    # What lies outside the body: remove or keep.
    background: str = "remove"
    # Cut to the body's bounding box: foreground or none.
    crop: str = "foreground"
    # Stretch the body's grey levels: foreground or none.
    normalise: str = "foreground"
    # keep pads to a square, stretch distorts to one.
    aspect: str = "keep"
    # stored, or upright to turn over the slices that two sources store upside down.
    orientation: str = "stored"


@dataclass(frozen=True)
class SplitSettings:
    """`config.split`."""

    # built | table2 | stratified | fraction | kfold | leave_one_source_out | csv, or leaking_slices:
    # slices dealt out one by one, so that patients stand in several splits (never for a result).
    kind: str = "built"
    # fraction: share of train + validation that trains (Paper §6.3: 0.7 was best); test stays.
    fraction: float = 0.7
    # kfold: how many folds, and which of them (from 0) is the test set.
    k: int = 5
    fold: int = 0
    # leave_one_source_out: the source that becomes the test set.
    source: str = ""
    # csv: a table with the columns file_name and split.
    path: str = ""


@dataclass(frozen=True)
class AugmentationSettings:
    """`config.augmentation`: the paper does not describe its own. Each amount is 0 for "off"."""

    # Probability of mirroring left and right.
    flip: float = 0.5
    # Largest rotation in degrees, either way.
    rotation_degrees: float = 10.0
    # Largest relative change of size: 0.1 draws from [0.9, 1.1].
    scale: float = 0.1
    # Largest shift along each axis, as a share of the image's side.
    translate: float = 0.05
    # Largest relative change of brightness.
    brightness: float = 0.1
    # Largest strength of the contrast curve.
    contrast: float = 0.2
    # Grey-level exponents are drawn between 1 / (1 + x) and 1 + x.
    gamma: float = 0.2
    # Standard deviation of added noise, in units of the full grey range.
    noise: float = 0.0


@dataclass(frozen=True)
class OptimiserSettings:
    """`config.optimiser`: Adam at 1e-4, annealed over all epochs (Paper §5.2)."""

    # adam or sgd.
    name: str = "adam"
    # The rate of the first steps, from which the schedule goes.
    learning_rate: float = 1e-4
    # constant, cosine or poly (the last two fall to zero over all steps).
    schedule: str = "cosine"
    # Exponent of poly.
    power: float = 1.0
    # Momentum and weight decay of sgd; the decay acts on every parameter.
    momentum: float = 0.9
    weight_decay: float = 0.0
    # Learned loss weights (Paper Eq. 6) learn this many times faster than the model.
    log_variance_rate: float = 1.0


@dataclass(frozen=True)
class ClassifierLoss:
    """`config.loss` of a classifier."""

    # How the loss terms are weighted: fixed, uncertainty (Paper Eq. 6 by log variances), or other
    # ways to learn the weights: uncertainty_sigma, uncertainty_kendall, uncertainty_positive.
    weighting: str = "uncertainty"
    # Weight of the attention term under `fixed`.
    attention_weight: float = 1.0
    # Paper Eq. 4 read as a mean square (mse) or as printed (l1).
    attention_kind: str = "mse"
    # How a mask is brought to the attention map's size.
    attention_resize: str = "area"


@dataclass(frozen=True)
class SegmenterLoss:
    """`config.loss` of a segmenter."""

    # cross_entropy (Paper §5.1), or rmi: half binary cross-entropy, half region mutual
    # information (Tao et al. 2020).
    kind: str = "cross_entropy"
    # Weight of the soft Dice loss beside it, over all known pixels of a batch; 0: none.
    dice_weight: float = 0.0
    # Weight of the coarse prediction of HMSANet and DeepLabV3 (0.4 in Tao et al.'s code).
    auxiliary_weight: float = 0.4
    # Weight of each scale's own prediction (HMSANet): 0, or 0.05 as in Tao et al.'s Cityscapes runs.
    scale_weight: float = 0.0


@dataclass(frozen=True)
class SearchSettings:
    """`config.search`: only in a configuration for `mgajax tune`, beside its `space`."""

    # What a trial is worth: this number of the validation slices at the trial's best checkpoint.
    metric: str = "cross_entropy"
    # minimise or maximise it.
    goal: str = "minimise"
    # So many trials are spread over the space before the first suggestion; trial 0 is the
    # configuration as it stands.
    initial: int = 6
    # Of the spread and of the suggestions; config.seed is that of each training.
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """A whole configuration, but for the loss: what every run has, whatever it learns."""

    # classification or segmentation.
    task: str
    # One seed for parameters, data order and augmentation; each step folds its number in.
    seed: int = 0
    # The network.
    model: ModelSettings
    # Start from these weights instead of drawn ones: a run's folder, a checkpoint, an export, or a
    # PyTorch file (torchvision's ResNet and DenseNet, NVIDIA's HMSANet, ImageNet HRNet). Read once,
    # before the first step; init_from.txt in the run's folder accounts for every array.
    init_from: str = ""
    # What each of these sections holds stands in its class above.
    data: DataSettings = DataSettings()
    preparation: PreparationSettings = PreparationSettings()
    split: SplitSettings = SplitSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    # Images a step in all, over every device of every host.
    batch_size: int = 32
    # Images a step in evaluation; rounded up to a multiple of the devices.
    eval_batch_size: int = 64
    # At most so many passes over the training slices.
    epochs: int = 100
    # Stop when the validation slices' cross-entropy (a classifier) or Dice (a segmenter) has not
    # improved for so many epochs; 0: never.
    patience: int = 10
    # Stop after so many steps in all, whatever the epochs say; 0: no such limit.
    max_steps: int = 0
    # How one step spreads over devices: pmap, shard_map or jit; all give the same numbers.
    parallel: str = "pmap"
    # Use so many local devices; 0: all.
    devices: int = 0
    # Write training metrics every so many steps.
    log_every: int = 50
    # Save every so many steps, beside the save after each epoch; 0: after epochs only.
    checkpoint_every: int = 0
    # Where checkpoints go: empty for the run's own folder, or one folder for this run alone that
    # every host sees, also in a bucket: gs://BUCKET/RUN (package gcsfs, or TensorFlow).
    checkpoint_dir: str = ""


@dataclass(frozen=True, kw_only=True)
class ClassifierSettings(RunSettings):
    """What every classifier of the paper is trained with (Paper §5.2)."""

    task: str = "classification"
    loss: ClassifierLoss = ClassifierLoss()
    # The log variances of Eq. 6 learn this many times faster: at one common rate they cannot
    # reach their optimum within 100 epochs.
    optimiser: OptimiserSettings = OptimiserSettings(log_variance_rate=100.0)


@dataclass(frozen=True, kw_only=True)
class SegmenterSettings(RunSettings):
    """What every segmenter is trained with (Paper §5.1)."""

    task: str = "segmentation"
    loss: SegmenterLoss = SegmenterLoss()
    # The frames of the lesion set are mostly 512 pixels wide; the paper does not state its size.
    preparation: PreparationSettings = PreparationSettings(image_size=512)
    # Only slices with an annotated mask are examples; `empty` adds Normal slices without one, which
    # `mgajax build covid_ct_lesions --option healthy=DIR` puts beside them.
    data: DataSettings = DataSettings(normal_mask="unknown")
    # Stochastic gradient descent (Paper §5.1). The paper names no schedule; the base paper's code
    # decays linearly (poly, exponent 1).
    optimiser: OptimiserSettings = OptimiserSettings(
        name="sgd", learning_rate=0.01, momentum=0.9, weight_decay=5e-4, schedule="poly"
    )
    # The base paper's augmentation: scale, crop, flip, grey levels; no rotation. Zoom in [0.5, 1.5]
    # with shifts by up to a quarter: a random crop, or a smaller picture.
    augmentation: AugmentationSettings = AugmentationSettings(
        rotation_degrees=0.0, scale=0.5, translate=0.25, brightness=0.25, contrast=0.25
    )
    # One image a device on the paper's four GPUs; batch statistics are those of all four.
    batch_size: int = 4
    eval_batch_size: int = 4
    # The paper gives no number.
    epochs: int = 100
    patience: int = 20


CLASSIFIERS: Mapping[str, NetworkOptions] = {
    "resnet18": NetworkOptions(),
    "resnet50": NetworkOptions(),
    "densenet121": NetworkOptions(),
    "resnet18_cbam": AttentionOptions(),
    "mga_resnet18": GuidedOptions(),
}
"""Options by network."""

SEGMENTERS: Mapping[str, NetworkOptions] = {
    "segnet": NetworkOptions(),
    "unet": UnetOptions(),
    "deeplabv3_resnet50": DeeplabOptions(),
    "deeplabv3_resnet101": DeeplabOptions(),
    "hmsanet": HmsanetOptions(),
}
"""Options by network."""

LOSSES: Mapping[str, SegmenterLoss] = dict.fromkeys(
    ("deeplabv3_resnet50", "deeplabv3_resnet101"),
    SegmenterLoss(auxiliary_weight=0.5),  # torchvision's weight of the auxiliary head
)
"""Of segmenters whose own differs."""


def classification(network: str) -> ConfigDict:
    """The configuration of a classifier; a file of `configs/` changes what is special to it.

    Args:
      network: one of `CLASSIFIERS`.

    Raises:
      ConfigError: another name.
    """
    return _as_config(ClassifierSettings(model=_model(network, CLASSIFIERS)))


def segmentation(network: str) -> ConfigDict:
    """The configuration of a segmenter; a file of `configs/` changes what is special to it.

    Args:
      network: one of `SEGMENTERS`.

    Raises:
      ConfigError: another name.
    """
    model = _model(network, SEGMENTERS)
    loss = LOSSES.get(network, SegmenterLoss())
    return _as_config(SegmenterSettings(model=model, loss=loss))


def _model(network: str, networks: Mapping[str, NetworkOptions]) -> ModelSettings:
    if network not in networks:
        raise ConfigError(f"network {network!r}: {nearest(network, list(networks))}")
    return ModelSettings(network, options=networks[network])


def _as_config(settings: RunSettings) -> ConfigDict:
    return ConfigDict(asdict(settings))
