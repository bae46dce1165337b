"""HMSANet: hierarchical multi-scale attention for segmentation (Tao et al. 2020; paper §4.1, Eq. 1).

One network is applied to the image at several scales. At each scale it also predicts, for each pixel,
the weight of that scale against the finer ones, by which the logits are combined. Two-scale training
and n-scale inference give the numbers of NVIDIA's semantic-segmentation (BSD-3).
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import flax.linen as nn
from jaxtyping import Array, Float

from mgajax.errors import ConfigError, nearest
from mgajax.models.blocks import Layers
from mgajax.models.hrnet import (
    REMATERIALISATIONS,
    REPEATS,
    HRNet,
    TrunkPlan,
    rematerialise,
    trunk_plan,
)
from mgajax.models.initialise import Laws, constant, normal, normal_fan_out, uniform_fan_in
from mgajax.models.ocr import HeadPlan, OcrHead, ScaleAttention
from mgajax.models.outputs import SegmenterOutput
from mgajax.models.resize import resize_features

TRAINING_SCALES = (0.5, 1.0)
STATISTICS = ("shared", "per_scale")
LOW_SCALES = "low_scales"
"""Where `batch_stats` hold, beside the running statistics of full size, those of scales below 1."""

NARROW_HEADS = {
    "hrnet_w18_small": HeadPlan(middle=64, key=32),
    "hrnet_tiny": HeadPlan(middle=32, key=16),
}
"""By trunk; the others have the heads of the paper's."""

TRUNK_LAWS = {"published": normal(0.001), "he": normal_fan_out}
"""How the trunk's kernels are drawn: as NVIDIA draws those that ImageNet weights then replace, or by He et
al. 2015, for a trunk that learns from what is drawn."""


def hmsanet_laws(trunk_law: str) -> Laws:
    """The trunk by one of `TRUNK_LAWS`; the heads by PyTorch's default."""
    return (
        ("*/norm*/scale", constant(1.0)),
        ("*/norm*/bias", constant(0.0)),
        ("backbone/*/kernel", TRUNK_LAWS[trunk_law]),
        ("*", uniform_fan_in),
    )


class ScalePass(NamedTuple):
    """Outputs of the network at one scale, of that scale's image size.

    Attributes:
      logits: float32 `[b, h, w, k]`.
      auxiliary: float32 `[b, h, w, k]`, the OCR head's coarse logits.
      attention: float32 `[b, h, w, 1]` in (0, 1): high prefers this scale, low the finer ones.
    """

    logits: Array
    auxiliary: Array
    attention: Array


class HMSANet(nn.Module):
    """HRNetV2, OCR head and scale attention, applied at several scales with the same weights.

    Attributes:
      num_classes: number of logits k.
      trunk: dimensions of the trunk.
      head: dimensions of the heads.
      layers: how layers compute.
      scales: scales of inference, 1 among them; `model.clone(scales=...)` changes them and
        keeps the variables. Training always uses `TRAINING_SCALES`.
      remat: see `HRNet`; "modules" covers the heads as well.
      repeats: see `HRNet`.
      statistics: "shared": one set of running statistics for all scales, as published; "per_scale":
        one for the scales below 1 and one for the others, over the same parameters.
      trunk_law: one of `TRUNK_LAWS`.
    """

    num_classes: int
    trunk: TrunkPlan
    head: HeadPlan
    layers: Layers
    scales: tuple[float, ...] = TRAINING_SCALES
    remat: str = "none"
    repeats: str = "unrolled"
    statistics: str = "shared"
    trunk_law: str = "published"

    def setup(self) -> None:
        """Make the three parts."""
        self.backbone = HRNet(self.trunk, self.layers, self.remat, self.repeats)
        self.ocr = OcrHead(self.num_classes, self.head, self.layers)
        self.scale_attention = ScaleAttention(self.head, self.layers)

    def __call__(self, images: Float[Array, "b h w c"], *, train: bool = False) -> SegmenterOutput:
        """Segment normalised images, float32 `[b, h, w, c]` of any size and channel count.

        In training, pass `rngs={"dropout": key}` to `apply` (unless the dropout option is 0), and
        expect two updates of the running statistics: the low scale's, then the high one's; of each
        set one, if there are two.

        Returns:
          logits: the combination over all scales, `[b, h, w, k]`.
          auxiliary: "ocr", the coarse logits combined alike, and "scale_0.5", "scale_1.0", ..., each
            scale's own logits resized to the images' size (supervised multi-scale loss).
          attention: "scale_0.5", ...: the maps that the combination used, at their scale's size.

        Raises:
          ConfigError: the images are too small for a scale.
        """
        scales = TRAINING_SCALES if train else self.scales
        # One scale makes all variables; the others share them.
        scales = (1.0,) if self.is_initializing() else scales
        passes = self.passes(images, scales=scales, train=train)
        if self.is_initializing() and self.statistics == "per_scale":
            self.put_variable("batch_stats", LOW_SCALES, dict(self.variables["batch_stats"]))
        size = (images.shape[1], images.shape[2])
        logits = {scale: outputs.logits for scale, outputs in passes.items()}
        coarse = {scale: outputs.auxiliary for scale, outputs in passes.items()}
        # The attention of the largest scale is not used: there is no finer one.
        attention = {scale: passes[scale].attention for scale in sorted(passes)[:-1]}
        by_scale = {
            f"scale_{scale}": resize_features(maps, size=size) for scale, maps in logits.items()
        }
        return SegmenterOutput(
            logits=combine(logits, attention),
            auxiliary={"ocr": combine(coarse, attention), **by_scale},
            attention={f"scale_{scale}": maps for scale, maps in attention.items()},
        )

    def passes(
        self, images: Float[Array, "b h w c"], *, scales: Sequence[float | int], train: bool = False
    ) -> dict[float, ScalePass]:
        """One pass a scale, the smallest first (the order of the running statistics' updates).

        Raises:
          ConfigError: the images are too small for a scale.
        """
        return {
            scale: self._pass_of(scale)(self, _resize_to_scale(images, scale=scale), train=train)
            for scale in sorted(scales)
        }

    def _pass_of(self, scale: float) -> Callable[..., ScalePass]:
        """`_pass` with the running statistics of a scale."""
        if self.statistics == "shared" or scale >= 1.0:
            return HMSANet._pass
        return nn.map_variables(
            HMSANet._pass,
            "batch_stats",
            trans_in_fn=lambda held: {kind: sets[LOW_SCALES] for kind, sets in held.items()},
            trans_out_fn=lambda held: {kind: {LOW_SCALES: low} for kind, low in held.items()},
            mutable=self.is_mutable_collection("batch_stats"),
        )

    def _pass(self, images: Array, *, train: bool) -> ScalePass:
        size = (images.shape[1], images.shape[2])
        head = rematerialise(self.ocr, self.remat, train=train)
        outputs = head(self.backbone(images, train=train))
        attend = rematerialise(self.scale_attention, self.remat, train=train)
        return ScalePass(
            logits=resize_features(outputs.logits, size=size),
            auxiliary=resize_features(outputs.auxiliary, size=size),
            attention=resize_features(attend(outputs.features), size=size),
        )

    @property
    def laws(self) -> Laws:
        """How `init_variables` draws the parameters."""
        return hmsanet_laws(self.trunk_law)


def combine(
    logits: Mapping[float, Array], attention: Mapping[float, Array]
) -> Float[Array, "b h w k"]:
    """Combine the scales' logits, the finest first (paper Eq. 1; n scales by nesting).

    With scales ½, 1 and 2 this is
    `M = U(α₁·M₁) + U(1 − α₁)·[α₂·M₂ + (1 − α₂)·D(M₃)]`: U and D resize to the images' size, and M
    are logits, not probabilities. The product is taken before U, as `U(α₁·M₁)` and not
    `U(α₁)·U(M₁)`, and `U(1 − α₁) = 1 − U(α₁)`. High attention prefers the *lower* scale.

    Args:
      logits: scale to `[b, h·scale, w·scale, k]`, scale 1 among them.
      attention: scale to `[b, h·scale, w·scale, 1]` for every scale but the largest.
    """
    largest, *rest = sorted(logits, reverse=True)
    combined = logits[largest]
    for scale in rest:
        weights, weighted = attention[scale], attention[scale] * logits[scale]
        if scale >= 1.0:
            combined = resize_features(combined, size=(weighted.shape[1], weighted.shape[2]))
        else:
            size = (combined.shape[1], combined.shape[2])
            weights, weighted = (resize_features(x, size=size) for x in (weights, weighted))
        combined = weighted + (1.0 - weights) * combined
    return combined


def _resize_to_scale(images: Array, *, scale: float) -> Array:
    height, width = (math.floor(side * scale) for side in images.shape[1:3])
    if min(height, width) < 1:
        raise ConfigError(
            f"scales: images of {images.shape[1]}×{images.shape[2]} pixels vanish at scale {scale}; "
            "use larger images or leave this scale out"
        )
    return resize_features(images, size=(height, width))


def hmsanet(
    *,
    num_classes: int,
    trunk: str = "hrnet_w48",
    modules: Sequence[int] | None = None,
    scales: Sequence[float | int] = TRAINING_SCALES,
    dropout: float = 0.05,
    remat: str = "none",
    repeats: str = "unrolled",
    statistics: str = "shared",
    trunk_law: str = "published",
    dtype: str = "float32",
    axis_name: str | None = None,
) -> HMSANet:
    """HMSANet; 72,122,452 parameters for two classes, three input channels and `hrnet_w48`.

    Args:
      num_classes: number of logits.
      trunk: "hrnet_w18", "hrnet_w32", "hrnet_w48" (the paper's), or with narrow heads, too,
        "hrnet_w18_small" or "hrnet_tiny".
      modules: exchange modules in each stage from the second on; None for the trunk's own.
      scales: scales of inference, 1 among them.
      dropout: share of channels dropped before the logits in training.
      remat: "none" or "modules".
      repeats: "unrolled", or "scanned" for a third of the compile time (see `HRNet`).
      statistics: "shared" (the paper's) or "per_scale" (see `HMSANet`).
      trunk_law: "published" or "he" (see `TRUNK_LAWS`).
      dtype: compute type.
      axis_name: mapped axis for the normalisation's statistics.

    Raises:
      ConfigError: an option's value cannot be used.
    """
    if not 0.0 <= dropout < 1.0:
        raise ConfigError(f"dropout={dropout!r}: expected a share from 0 to below 1")
    head = NARROW_HEADS.get(trunk, HeadPlan())
    if remat not in REMATERIALISATIONS:
        raise ConfigError(f"remat={remat!r}: {nearest(str(remat), REMATERIALISATIONS)}")
    if repeats not in REPEATS:
        raise ConfigError(f"repeats={repeats!r}: {nearest(str(repeats), REPEATS)}")
    if statistics not in STATISTICS:
        raise ConfigError(f"statistics={statistics!r}: {nearest(str(statistics), STATISTICS)}")
    if trunk_law not in TRUNK_LAWS:
        raise ConfigError(f"trunk_law={trunk_law!r}: {nearest(str(trunk_law), tuple(TRUNK_LAWS))}")
    return HMSANet(
        num_classes,
        trunk_plan(trunk, modules=modules),
        dataclasses.replace(head, dropout=dropout),
        Layers(dtype, axis_name),
        check_scales(scales),
        remat,
        repeats,
        statistics,
        trunk_law,
    )


def check_scales(scales: Sequence[float | int]) -> tuple[float, ...]:
    """The scales in ascending order, as `model.clone(scales=...)` takes them.

    Raises:
      ConfigError: one is not positive or comes twice, or 1 is not among them.
    """
    numbers = tuple(float(scale) for scale in scales)
    are_positive = all(math.isfinite(number) and number > 0 for number in numbers)
    if not are_positive or 1.0 not in numbers or len(set(numbers)) < len(numbers):
        raise ConfigError(
            f"scales={scales!r}: expected different positive numbers, 1.0 among them, such as "
            "(0.5, 1.0)"
        )
    return tuple(sorted(numbers))
