"""Mask guidance with the paper's masks (few annotated, the rest predicted), exact masks, or no masks.

In every arm attention is scored against the exact masks of the test slices; a predicted mask is never
the reference.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mgajax.errors import LeakageError
from mgajax.evaluation.evaluate import evaluate_run
from mgajax.evaluation.evaluation_report import EVALUATION_FOLDER
from mgajax.evaluation.segmentation import metrics_from_counts
from mgajax.evaluation.segmentation_counts import SegmentationCounts
from mgajax.evaluation.segmenter_comparison import read_evaluation
from mgajax.experiments.claims import (
    ATTENTION,
    PERFORMANCE,
    Claim,
    judged_claims,
    performance_figure,
)
from mgajax.experiments.claims import CLAIMS as PAPER_CLAIMS
from mgajax.experiments.classifiers import MODELS, SECTIONS
from mgajax.experiments.compare import measure_arms, predictions_of
from mgajax.experiments.fractions import MORE_AT_LITTLE_DATA, TASKS, parts
from mgajax.experiments.plan import PlannedRun
from mgajax.experiments.study import ArmComparison, Study, StudyInput, StudyResults
from mgajax.paper import SEGMENTER_METRICS
from mgajax.reporting.tables.measurements import Measurement
from mgajax.schema import CLASS_NAMES

PAPER, EXACT = "the paper's masks", "exact masks"
PREDICTED = {
    "mga_resnet18": "mga_predicted",
    **{f"multi_{percent}": f"predicted_{percent}" for percent in MORE_AT_LITTLE_DATA},
}
"""For each arm with exact masks, the same arm with the paper's masks."""

STEP1 = "Step 1 on the test slices"
NOTE = (
    "Attention is measured by the exact masks of all test slices, in every arm. No test slice is "
    "among those that step 1 learned from, and no patient stands in two splits."
)


def _label(arm: str) -> str:
    """The label of an arm, such as `Multi-task, exact masks, 20 %`."""
    masks = dict.fromkeys(PREDICTED, EXACT) | dict.fromkeys(PREDICTED.values(), PAPER)
    exact = {predicted: exact for exact, predicted in PREDICTED.items()}.get(arm, arm)
    words = [MODELS[exact]] if exact in MODELS else [TASKS[parts(exact)[0]]]
    words += [masks[arm]] if arm in masks else []
    words += [] if exact in MODELS else [f"{parts(exact)[1]} %"]
    return ", ".join(words)


def _claims() -> list[Claim]:
    """The paper's claims for each kind of masks, then the gain of exact masks over the paper's."""
    guided = [claim for claim in PAPER_CLAIMS if set(claim.weights) & set(PREDICTED)]
    claims = [claim for claim in PAPER_CLAIMS if claim not in guided]
    for masks in (PAPER, EXACT):
        claims += [_under(claim, masks) for claim in guided]
    for exact, predicted in PREDICTED.items():
        place = f" at {parts(exact)[1]} % of the data" if exact not in MODELS else ""
        text = f"Exact masks are better than the paper's{place}"
        weights = {exact: 1.0, predicted: -1.0}
        claims += [Claim(text, weights, metrics) for metrics in (PERFORMANCE, ATTENTION)]
    return claims


def _under(claim: Claim, masks: str) -> Claim:
    """The claim for guided networks that are trained with masks of this kind."""
    arms = PREDICTED if masks == PAPER else {}
    weights = {arms.get(arm, arm): weight for arm, weight in claim.weights.items()}
    return Claim(f"{claim.text}: {masks}", weights, claim.metrics)


CLAIMS = _claims()


def _examine(finished: StudyInput) -> StudyResults:
    judged, untested = judged_claims(finished, CLAIMS)
    arms = measure_arms(
        finished, ArmComparison(SECTIONS, labels={arm: _label(arm) for arm in finished.configs})
    )
    rows = [*judged, *arms, *_step1_rows(finished)]
    return StudyResults(rows, figures=[performance_figure(rows, finished)], notes=[NOTE, *untested])


def _step1_rows(finished: StudyInput) -> list[Measurement]:
    """Scores of step 1's masks on the test slices, for all classes together and for each.

    Raises:
      LeakageError: step 1 may have been trained on a test slice of step 2.
    """
    classes = {
        name: label
        for runs in finished.arms.values()
        for run in runs.values()
        for name, label in _test_classes(run).items()
    }
    return [row for place in finished.data.segmenters for row in _segmenter_rows(place, classes)]


def _test_classes(run: PlannedRun) -> dict[str, int]:
    """The class of each test slice, by file name."""
    predictions = predictions_of(run)
    return dict(zip(predictions.file_names.tolist(), predictions.labels.tolist(), strict=True))


def _segmenter_rows(workdir: Path, classes: Mapping[str, int]) -> list[Measurement]:
    """Pooled scores of the slices in `classes`, by class. All of them must be test slices of step 1."""
    if not (workdir / EVALUATION_FOLDER / "test.json").is_file():
        evaluate_run(workdir)
    step1 = read_evaluation(workdir)
    if learned := sorted(set(classes) - set(step1.file_names.tolist())):
        raise LeakageError(
            f"{workdir}: {len(learned)} test slices of step 2, such as {learned[0]}, are no test "
            "slices of this segmenter; let both steps have the split that the data set was built with"
        )
    labels = np.array([classes.get(name, -1) for name in step1.file_names.tolist()])
    rows = []
    for name, chosen in (
        ("All classes", labels >= 0),
        *((name, labels == code) for code, name in enumerate(CLASS_NAMES)),
    ):
        counts = step1.counts.select(chosen)
        if counts.has_lesion.any():
            rows += _pooled_rows(name, counts, step1.patients[chosen])
        marked = float(counts.has_prediction.mean())
        rows.append(Measurement(STEP1, name, "Slices with a predicted lesion", value=marked))
    return rows


def _pooled_rows(name: str, counts: SegmentationCounts, patients: np.ndarray) -> list[Measurement]:
    scores = metrics_from_counts(counts, patients)
    spans = scores["intervals"]["pooled"]
    return [
        Measurement(
            STEP1,
            name,
            heading,
            value=scores["pooled"][key],
            low=spans[key]["low"],
            high=spans[key]["high"],
        )
        for key, heading in SEGMENTER_METRICS.items()
    ]


STUDIES = {
    "paper_masks": Study(
        title="Masks as the paper has them: few annotated, the rest predicted",
        source="Paper, §4, §5.1, Table 4, Figures 8 and 9",
        plan="configs/experiments/paper_masks.py",
        examine=_examine,
    ),
}
