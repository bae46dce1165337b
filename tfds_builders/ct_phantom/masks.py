"""Chooses the lesion mask of each drawn slice: the exact one, a predicted one, or none.

Real sets have annotated lesions for some people only, and a segmenter fills in the rest; the options
`annotated`, `annotated_class`, `exact_test` and `masks` make such a set of drawn slices.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mgajax.curation.findings import Findings, findings_json
from mgajax.curation.predicted_masks import read_origin, verify_masks
from mgajax.schema import CLASS_NAMES
from tfds_builders.ct_phantom.individual import Patient
from tfds_builders.ct_phantom.slices import slice_name, slice_shape

PatientsBySplit = Mapping[str, Sequence[Patient]]
"""The patients of each split."""


@dataclass(frozen=True)
class MaskPlan:
    """The origin of every slice's mask.

    Attributes:
      annotated: file names of the slices stored with their exact mask.
      predicted: file name of a slice -> its predicted mask.
      summary: counts and findings, in plain JSON types.
    """

    annotated: frozenset[str]
    predicted: Mapping[str, Path]
    summary: Mapping[str, Any]


def plan_masks(
    parts: PatientsBySplit,
    *,
    annotated: float,
    annotated_class: str = "",
    exact_test: bool = False,
    folder: Path | None,
    seed: int,
    size: int,
) -> MaskPlan:
    """Choose the annotated patients, and find predicted masks for the slices of the others.

    Args:
      parts: the patients of each split.
      annotated: share of patients, in [0, 1].
      annotated_class: the one class whose patients they are; "" for every class.
      exact_test: annotate all of the test split as well.
      folder: of predicted masks, or None.
      seed: chooses the patients.
      size: nominal width of the slices.

    Raises:
      DataError: `folder` has a mask for none of the slices that need one.
    """
    exact = annotated_patients(parts, share=annotated, seed=seed, only=annotated_class)
    if exact_test:
        exact |= {patient.number for patient in parts["test"]}
    slices = [
        (patient, index)
        for members in parts.values()
        for patient in members
        for index in range(len(patient.levels))
    ]
    names = frozenset(slice_name(p, index=i) for p, i in slices if p.number in exact)
    findings = Findings()
    predicted: dict[str, Path] = {}
    if folder is not None:
        shapes = {
            slice_name(p, index=i): slice_shape(p, size=size)
            for p, i in slices
            if p.number not in exact
        }
        predicted = verify_masks(shapes, folder=folder, findings=findings)
    summary = {
        "masked": len(names),
        "predicted": len(predicted),
        "unmasked": len(slices) - len(names) - len(predicted),
        "annotated_patients": len(exact),
        "masks_made_by": read_origin(folder) if folder else {},
        "findings": findings_json(findings.summarise()),
    }
    return MaskPlan(names, predicted, summary)


def annotated_patients(
    parts: PatientsBySplit, *, share: float, seed: int, only: str = ""
) -> frozenset[int]:
    """Numbers of the patients with exact masks: `share` of each class, spread over its splits.

    With `only`, the name of a class, the patients of that class are the same, and the others have none.
    Every class has its share to the nearest patient, and each of its splits to within one. The patients
    of a larger share need not include those of a smaller one.
    """
    annotated: set[int] = set()
    for label, name in enumerate(CLASS_NAMES):
        if only not in ("", name):
            continue
        rng = np.random.default_rng([seed, label])
        numbers = np.array(list(_shuffle(parts, label=label, rng=rng)), np.int64)
        steps = np.floor(share * np.arange(len(numbers) + 1) + 0.5)
        annotated.update(numbers[np.diff(steps) > 0].tolist())
    return frozenset(annotated)


def _shuffle(parts: PatientsBySplit, *, label: int, rng: np.random.Generator) -> Iterator[int]:
    """Numbers of a class's patients, split after split, in random order within each."""
    for members in parts.values():
        numbers = [patient.number for patient in members if patient.label == label]
        yield from rng.permutation(np.array(numbers, np.int64)).tolist()
