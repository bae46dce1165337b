"""What an experiment is, what it has when its runs are done, and what it finds."""

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
    """What a study is made from.

    Attributes:
      out: the experiment's folder.
      arms: by name in the plan's order, the runs that are finished, by seed.
      configs: of every arm, also of those without a finished run.
      missing: why an arm has no finished run: (status, reason).
      data: the data set that was given, and further ones to draw.
      split: a CSV that was given, for studies that count slices.
    """

    out: Path
    arms: Mapping[str, Mapping[int, PlannedRun]]
    configs: Mapping[str, ConfigDict]
    missing: Mapping[str, tuple[str, str]]
    data: DataSets
    split: Path | None = None


@dataclass(frozen=True)
class StudyResults:
    """What a study found.

    Attributes:
      rows: every number.
      figures: PNG files that were drawn.
      notes: sentences for the reader.
      files: what else was written.
    """

    rows: Sequence[Measurement]
    figures: Sequence[Path] = ()
    notes: Sequence[str] = ()
    files: Sequence[Path] = ()


@dataclass(frozen=True)
class Study:
    """A table, figure or question.

    Attributes:
      title: what it shows.
      source: where the paper has it, or "" for a study that the paper lacks.
      plan: the file of its runs in `configs/experiments/`; "" for a study that trains nothing.
      examine: from finished runs to numbers.
      drawn_plan: the file of its runs on drawn data, where budgets do not fit it.
      seeds: how many at most; None: as many as the budget has.
      takes_runs: whether finished runs can be given instead of the plan's.
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
    """Which arms are compared how.

    Attributes:
      sections: heading of each table and its metrics.
      pairs: arms whose difference is measured, first minus second, resample by resample.
      paper: the paper's numbers in percent, by arm and path of the metric.
      labels: how an arm is written; its name by default.
    """

    sections: Mapping[str, Metrics]
    pairs: Sequence[tuple[str, str]] = ()
    paper: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def label(self, arm: str) -> str:
        """How the arm is written."""
        return self.labels.get(arm, arm)
