"""Loss terms, scores and predictions of each task; the loop is the same for both."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import flax.struct
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped
from ml_collections import ConfigDict

from mgajax.data.loader import Batch
from mgajax.schema import CLASS_NAMES, MASK_ORIGINS
from mgajax.training import classification_losses, segmentation_losses
from mgajax.training.early_stopping import Criterion
from mgajax.training.weighting import FIXED, Weighting

CROSS_ENTROPY = "cross_entropy"
ATTENTION = "attention"
LUNGS = "lungs"
AUXILIARY = "auxiliary"
SOFT_DICE = "soft_dice"
SEGMENTATION_LOSSES = ("cross_entropy", "rmi")
COARSE_PREDICTIONS = ("ocr", "fcn")
"""Auxiliary predictions weighted by `auxiliary_weight`; the others, of the scales, by `scale_weight`."""


class TaskName(StrEnum):
    """What a run learns."""

    CLASSIFICATION = "classification"
    SEGMENTATION = "segmentation"


NUM_CLASSES: dict[str, int] = {TaskName.CLASSIFICATION: len(CLASS_NAMES), TaskName.SEGMENTATION: 2}
"""Of slices, or of pixels (0 other, 1 lesion)."""


@flax.struct.dataclass
class Term:
    """One quantity of a batch before it is reduced to Σ w v / (Σ w + offset) of the global batch.

    Attributes:
      values: float32 [b], one an example (a mean over its pixels, if it has pixels).
      weights: float32 [b], how much each counts (its pixels); 0 for padding and unknown masks.
      offset: see above.
      is_ratio: the weights depend on the parameters, too, and are differentiated like the values.
    """

    values: Any
    weights: Any
    offset: float = flax.struct.field(pytree_node=False, default=0.0)
    is_ratio: bool = flax.struct.field(pytree_node=False, default=False)


Terms: TypeAlias = dict[str, Term]
TermFunction: TypeAlias = Callable[[Any, Batch, Float[Array, "b h w m"]], Terms]
"""(model output, batch, masks) → terms. The masks are those of the batch, augmented, in [0, 1]."""


@dataclass(frozen=True)
class Task:
    """What steps, loop and evaluation need of a task.

    Attributes:
      terms: parts of the loss.
      scores: measured beside it. Terms and scores are computed on the validation slices, too.
      predictions: further outputs of each example.
      weights: the factor of each term, unless it is learned.
      learned: terms whose weights are learned (Eq. 6); all of them or none.
      headline: the score that is shown after each epoch.
      criterion: by which the best checkpoint is chosen.
      mask_origins: whose masks count as known.
      needs_masks: only slices with a known mask are examples.
      needs_lungs: batches have masks of the lungs, too.
      weighting: how weights are learned.
    """

    terms: TermFunction
    scores: TermFunction
    predictions: Callable[[Any], dict[str, Shaped[Array, "b ..."]]]
    weights: Mapping[str, float]
    learned: tuple[str, ...]
    headline: str
    criterion: Criterion
    mask_origins: tuple[str, ...]
    needs_masks: bool
    needs_lungs: bool = False
    weighting: Weighting = Weighting.UNCERTAINTY

    @property
    def mask_planes(self) -> int:
        """Planes of a batch's masks: of lesions, and of lungs if they are needed."""
        return 2 if self.needs_lungs else 1


def make_task(config: ConfigDict, *, model: Any) -> Task:
    """The task that `config.task` names, for a model."""
    if config.task == TaskName.SEGMENTATION:
        return make_segmentation_task(config.loss)
    attributes = {ATTENTION: "guided", LUNGS: "lungs"}
    return make_classification_task(
        config.loss,
        guides=tuple(
            term for term, name in attributes.items() if getattr(model, name, None) is not None
        ),
    )


def make_classification_task(loss: ConfigDict, *, guides: tuple[str, ...]) -> Task:
    """Eq. 5 for every slice, Eq. 4 for each of its maps with a known mask, weighted by Eq. 6.

    Eq. 6 has two terms in the paper. With masks of lungs (its outlook, §7) it has a third of the
    same form, with a variance of its own.

    Args:
      loss: `attention_kind`, `attention_resize`, `weighting`, `attention_weight`.
      guides: which masks supervise a map of the model's attention: ATTENTION those of lesions,
        LUNGS those of lungs.
    """

    def distance(attention: Array, masks: Array) -> Array:
        return classification_losses.attention_loss(
            attention, masks, kind=loss.attention_kind, resize=loss.attention_resize
        )

    def terms(output: Any, batch: Batch, masks: Array) -> Terms:
        cross_entropy = classification_losses.cross_entropy(output.logits, batch.labels)
        by_name = {CROSS_ENTROPY: Term(cross_entropy, batch.weights)}
        if ATTENTION in guides:
            values = distance(output.attention[output.guided], masks[..., :1])
            by_name[ATTENTION] = Term(values, batch.weights * batch.mask_weights)
        if LUNGS in guides:
            values = distance(output.attention[output.lungs], masks[..., 1:])
            by_name[LUNGS] = Term(values, batch.weights * _known_lungs(batch))
        return by_name

    def scores(output: Any, batch: Batch, masks: Array) -> Terms:
        correct = (output.logits.argmax(-1) == batch.labels).astype(jnp.float32)
        return {"accuracy": Term(correct, batch.weights)}

    is_learned = guides and loss.weighting != FIXED  # Eq. 6 needs two terms
    return Task(
        terms=terms,
        scores=scores,
        predictions=_class_predictions,
        weights={CROSS_ENTROPY: 1.0} | dict.fromkeys(guides, loss.attention_weight),
        learned=(CROSS_ENTROPY, *guides) if is_learned else (),
        headline="accuracy",
        criterion=Criterion.CROSS_ENTROPY,
        mask_origins=MASK_ORIGINS[1:],
        needs_masks=False,
        needs_lungs=LUNGS in guides,
        weighting=Weighting(loss.weighting) if is_learned else Weighting.UNCERTAINTY,
    )


def _known_lungs(batch: Batch) -> Float[Array, "b"]:
    """1 where the batch's lungs are known: where the mask has any lung."""
    return (batch.masks[..., 1:].max(axis=(1, 2, 3)) > 0).astype(jnp.float32)


def _class_predictions(output: Any) -> dict[str, Array]:
    """Logits [b, k], and of a model with attention the map that is shown."""
    shown = output.shown_attention
    return {"logits": output.logits} | ({} if shown is None else {"attention_map": shown})


def make_segmentation_task(loss: ConfigDict) -> Task:
    """Lesion or not, for each pixel, over the valid pixels of the global batch.

    The main loss is the cross-entropy of the combined logits (Paper §5.1), or half the binary
    cross-entropy and half the region mutual information (Zhao et al. 2019, as in Tao et al. 2020).
    Coarse predictions (OCR's, DeepLab's) count with `auxiliary_weight`, each scale's own with
    `scale_weight`, by cross-entropy or, under `rmi`, by binary cross-entropy. With `dice_weight` the
    soft Dice of the combined logits comes beside the main loss.

    The best checkpoint is that of the highest validation Dice. The paper does not name a
    criterion; Tao et al.'s code keeps the highest mean IoU, which orders checkpoints alike where there
    is one class of lesion. By cross-entropy a network that finds no lesion can be "better" than one
    that finds many.

    Args:
      loss: `kind`, `dice_weight`, `auxiliary_weight`, `scale_weight`.
    """
    auxiliary_term = _pixel_term if loss.kind == "cross_entropy" else _binary_term

    def terms(output: Any, batch: Batch, masks: Array) -> Terms:
        targets = _targets(batch, masks)
        if loss.kind == "cross_entropy":
            by_name = {CROSS_ENTROPY: _pixel_term(output.logits, targets)}
        else:
            by_name = {
                "binary_cross_entropy": _binary_term(output.logits, targets),
                "rmi": Term(*segmentation_losses.rmi(output.logits, targets)),
            }
        if loss.dice_weight > 0.0:
            by_name[SOFT_DICE] = _soft_dice_term(output.logits, targets)
        for name, logits in output.auxiliary.items():
            if name in COARSE_PREDICTIONS:
                by_name[AUXILIARY] = auxiliary_term(logits, targets)
            elif loss.scale_weight > 0.0:
                by_name[name] = auxiliary_term(logits, targets)
        return by_name

    def scores(output: Any, batch: Batch, masks: Array) -> Terms:
        targets = _targets(batch, masks)
        return {
            CROSS_ENTROPY: _pixel_term(output.logits, targets),
            "dice": Term(*segmentation_losses.lesion_dice(output.logits, targets)),
        }

    return Task(
        terms=terms,
        scores=scores,
        predictions=_lesion_predictions,
        weights=_pixel_weights(loss),
        learned=(),
        headline="dice",
        criterion=Criterion.DICE,
        mask_origins=("annotated",),
        needs_masks=True,
    )


def _pixel_weights(loss: ConfigDict) -> dict[str, float]:
    """The factor of each term of a segmenter's loss."""
    return {
        CROSS_ENTROPY: 1.0,
        "binary_cross_entropy": 0.5,
        "rmi": 0.5,
        SOFT_DICE: loss.dice_weight,
        AUXILIARY: loss.auxiliary_weight,
        "scale_0.5": loss.scale_weight,
        "scale_1.0": loss.scale_weight,
    }


def _targets(batch: Batch, masks: Float[Array, "b h w 1"]) -> Int[Array, "b h w"]:
    """0, 1 for lesion, or IGNORE where no mask is known and for padding."""
    return segmentation_losses.lesion_targets(masks, batch.weights * batch.mask_weights)


def _pixel_term(logits: Float[Array, "b h w k"], targets: Int[Array, "b h w"]) -> Term:
    return Term(*segmentation_losses.pixel_cross_entropy(logits, targets))


def _binary_term(logits: Float[Array, "b h w k"], targets: Int[Array, "b h w"]) -> Term:
    values, weights = segmentation_losses.pixel_binary_cross_entropy(logits, targets)
    return Term(values, weights, offset=segmentation_losses.BINARY_OFFSET)


def _soft_dice_term(logits: Float[Array, "b h w k"], targets: Int[Array, "b h w"]) -> Term:
    return Term(*segmentation_losses.soft_dice(logits, targets), is_ratio=True)


def _lesion_predictions(output: Any) -> dict[str, Array]:
    """Probability of lesion, float32 [b, h, w]."""
    return {"lesion": segmentation_losses.lesion_probability(output.logits)}
