"""Figure 10: which pixels five classifiers base their decisions on, and whether these are lesions."""

import json
from pathlib import Path
from typing import Any

from mgajax.experiments.classifiers import MODELS
from mgajax.experiments.study import Study, StudyInput, StudyResults
from mgajax.explanation.explain import explain_runs
from mgajax.explanation.methods import METHODS
from mgajax.reporting.tables.measurements import Measurement

CHOSEN = ("deeplift", "ig")
"""The paper's two attribution methods (§6.4)."""

TITLES = " and ".join(METHODS[name].title for name in CHOSEN)

SLICES = 48
"""Slices that are explained, spread evenly over the test set."""

SCORES = {
    "rank_auc": "ROC AUC of pixels",
    "energy_in_lesion": "Energy in lesion",
    "pointing_hit": "Highest point hits",
    "top_10%_iou": "IoU, top 10 %",
}


def _examine(finished: StudyInput) -> StudyResults:
    """Explain the first seed of each arm, all on the same slices."""
    runs = {arm: by_seed[min(by_seed)] for arm, by_seed in finished.arms.items()}
    notes = [f"{arm}: {status} ({reason})" for arm, (status, reason) in finished.missing.items()]
    explanation = explain_runs(
        [run.folder for run in runs.values()],
        out=finished.out / "explanation",
        methods=CHOSEN,
        target="label",
        limit=SLICES,
        names=[MODELS.get(arm, arm) for arm in runs],
    )
    rows = _rows(finished.out / "explanation" / "summary.json")
    pictures = [path for path in explanation.files if path.suffix == ".png"]
    others = [path for path in explanation.files if path.suffix not in (".png", ".npz")]
    note = f"{len(explanation.slices)} test slices, one seed; the true class is explained"
    return StudyResults(rows, figures=pictures, files=others, notes=[f"{note}.", *notes])


def _rows(summary: Path) -> list[Measurement]:
    """The scores of `mgajax explain` by model, method and reading."""
    scores: dict[str, Any] = json.loads(summary.read_text(encoding="utf-8"))["scores"]
    rows = []
    for key, by_score in scores.items():
        name, method, reading = key.split("/")
        for score, heading in SCORES.items():
            average = by_score[score]
            rows.append(
                Measurement(
                    f"{method}, {reading} attributions on lesions",
                    name,
                    heading,
                    value=average["mean"],
                    low=average["low"],
                    high=average["high"],
                )
            )
    return rows


STUDIES = {
    "fig10": Study(
        title=f"{TITLES} of Table 4's classifiers",
        source="Paper, Figure 10",
        plan="configs/experiments/table4.py",
        examine=_examine,
    ),
}
