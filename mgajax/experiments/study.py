"""A study, its input (finished runs), and its results."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ml_collections import ConfigDict

from mgajax.evaluation.bootstrap import IntervalSettings
from mgajax.experiments.datasets import DataSets
from mgajax.experiments.plan import PlannedRun
from mgajax.paper import CLASSIFIER_METRICS
from mgajax.reporting.tables.measurements import Measurement

RESAMPLING = IntervalSettings(replicates=1000, seed=0, confidence=0.95)

Metrics = Mapping[str, str]
"""Heading of each metric by its path in `classification_metrics`."""

BINARY: Metrics = {f"covid_vs_rest.{key}": text for key, text in CLASSIFIER_METRICS.items()}
"""The columns of the paper's Tables 4 and 5: COVID-19 against the rest."""

THREE_CLASS: Metrics = {
    "three_class.accuracy": "Accuracy",
    "three_class.macro_f1": "Macro F1",
    "three_class.roc_auc.macro": "Macro ROC AUC",
}

ATTENTION: Metrics = {
    "attention.attention_in_lesion": "Attention on lesion",
    "attention.cell_hit": "Highest cell on lesion",
    "attention.rank_auc": "ROC AUC of pixels",
    "attention.top_area_iou": "IoU, lesion-sized area",
}


@dataclass(frozen=True)
class StudyInput:
    """The input of a study: finished runs and data.

    Attributes:
      out: the experiment's folder.
      arms: the finished runs of each arm by seed; arms in the order of the plan.
      configs: of every arm, also of arms without a finished run.
      missing: why an arm has no finished run: (status, reason).
      data: the user's data set, and phantoms to draw.
      split: the user's CSV of a split, for studies that count slices.
    """

    out: Path
    arms: Mapping[str, Mapping[int, PlannedRun]]
    configs: Mapping[str, ConfigDict]
    missing: Mapping[str, tuple[str, str]]
    data: DataSets
    split: Path | None = None


@dataclass(frozen=True)
class StudyResults:
    """The results of a study.

    Attributes:
      rows: all numbers.
      figures: PNG files.
      notes: sentences for the reader.
      files: other files that were written.
    """

    rows: Sequence[Measurement]
    figures: Sequence[Path] = ()
    notes: Sequence[str] = ()
    files: Sequence[Path] = ()


@dataclass(frozen=True)
class Study:
    """A table or figure of the paper, or a question of ours.

    Attributes:
      title: heading of its results.
      source: where the paper has it, or "" for a study that the paper lacks.
      plan: the file of its runs in `configs/experiments/`; "" for a study that trains nothing.
      examine: computes the results from finished runs.
      drawn_plan: the file of its runs on drawn data, where the budgets do not fit the study.
      seeds: the most seeds that it uses; None: as many as the budget has.
      takes_runs: whether it can compare finished runs in place of the plan's.
    """

    title: str
    source: str
    plan: str
    examine: Callable[[StudyInput], StudyResults]
    drawn_plan: str = ""
    seeds: int | None = None
    takes_runs: bool = False


@dataclass(frozen=True)
class ArmComparison:
    """Which arms are compared, and by which metrics.

    Attributes:
      sections: heading of each table and its metrics.
      pairs: arms whose difference is measured, first minus second, resample by resample.
      paper: the paper's numbers in percent, by arm and path of the metric.
      labels: the printed name of an arm; by default its name in the plan.
    """

    sections: Mapping[str, Metrics]
    pairs: Sequence[tuple[str, str]] = ()
    paper: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def label(self, arm: str) -> str:
        """The printed name of the arm."""
        return self.labels.get(arm, arm)
