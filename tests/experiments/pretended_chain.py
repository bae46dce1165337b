"""A pretended chain of `mgajax experiment real`: runs have results at once, and nothing is trained."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mgajax.data.table import SliceTable
from mgajax.evaluation.predictions import Predictions
from mgajax.evaluation.segmentation_counts import BOUNDARY, PIXELS
from mgajax.experiments.compare import predictions_of
from mgajax.experiments.execution import RunOutcome, RunStatus
from mgajax.experiments.plan import PlannedRun
from mgajax.experiments.real import attributions
from mgajax.files import write_csv, write_json, write_text
from mgajax.inference.segment import SegmentSummary
from mgajax.schema import CLASS_NAMES, NORMAL

SEGMENTED = SegmentSummary(Path(), total=0, annotated=0, earlier=0)

PLAN = """
from mgajax.config import classification, segmentation
from ml_collections import ConfigDict


def get_config():
    plan = ConfigDict(sort_keys=False)
    plan.hmsanet = segmentation("hmsanet")
    plan.hmsanet.model.options.trunk = "hrnet_tiny"
    plan.unet = segmentation("unet")
    plan.unet.model.options.width = 1
    for name in ("resnet18_cbam", "mga_resnet18"):
        plan[name] = classification(name)
        plan[name].model.options.width = 16
        plan[name].model.options.depths = (1, 1, 1, 1)
    return plan
"""


@dataclass
class PretendedTraining:
    """Replaces training: every run has results at once, better ones after pretraining."""

    table: SliceTable
    finished: list[PlannedRun]
    stop_at: str = "nowhere"
    fail_at: str = "nowhere"

    def run_all(self, runs: Sequence[PlannedRun], *, jobs: int) -> list[RunOutcome]:
        outcomes = []
        for run in runs:
            status = RunStatus.FINISHED
            if self.fail_at in run.title:
                status = RunStatus.FAILED
            elif self.stop_at in run.title:
                status = RunStatus.STOPPED
            else:
                self.finish(run)
            outcomes.append(RunOutcome(run, status, reason="out of memory"))
        return outcomes

    def finish(self, run: PlannedRun) -> None:
        self.finished.append(run)
        (run.folder / "evaluation").mkdir(parents=True, exist_ok=True)
        write_json({"steps": 3, "finished": True}, run.folder / "summary.json")
        write_json({"seconds": 2.0, "peak_memory": 3 * 2**20}, run.folder / "done.json")
        write_text("head  1\n1,234 parameters, 0 running statistics", run.folder / "parameters.txt")
        if run.config.split.kind == "csv":
            skill = 1.0 + 2.0 * bool(run.config.init_from)
            segments = run.config.task == "segmentation"
            (self.write_segmenter if segments else self.write_classifier)(run, skill)

    def rows(self, run: PlannedRun, split: str) -> np.ndarray:
        with Path(run.config.split.path).open() as file:
            named = {line["file_name"] for line in csv.DictReader(file) if line["split"] == split}
        return np.flatnonzero(np.isin(self.table.file_names, list(named)))

    def write_segmenter(self, run: PlannedRun, skill: float) -> None:
        rng = np.random.default_rng(run.seed)
        lines: list[list[object]] = [["file_name", "patient", "source", *PIXELS, *BOUNDARY]]
        for row in self.rows(run, "test"):
            lesion = 80 * (self.table.labels[row] != NORMAL)
            hits = min(lesion, int(rng.integers(60, 80) * min(skill / 3, 1.0)))
            names = [getattr(self.table, key)[row] for key in ("file_names", "patients", "sources")]
            lines.append([*names, hits, 5, lesion - hits, 995 - lesion, 2.0, 0.5])
        folder = run.folder / "evaluation"
        write_csv(lines, folder / "test_slices.csv")
        write_json({"boundary": {"tolerance": 2.0, "unit": "px"}}, folder / "test.json")
        curve = [{"step": step, "validation/dice": skill * step / 60} for step in (5, 10, 15)]
        write_text("\n".join(map(json.dumps, curve)), run.folder / "metrics.jsonl")

    def write_classifier(self, run: PlannedRun, skill: float) -> None:
        for split in ("test", "validation"):
            rows = self.rows(run, split)
            predictions = of_rows(self.table, rows, skill=skill, seed=run.seed, split=split)
            predictions.write_csv(run.folder / "evaluation" / f"{split}_predictions.csv")


def of_rows(
    table: SliceTable, rows: np.ndarray, *, skill: float, seed: int, split: str
) -> Predictions:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(len(rows), len(CLASS_NAMES)))
    logits[np.arange(len(rows)), table.labels[rows]] += skill
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    score = np.full(len(rows), skill / 4)
    columns = ("lesion_area", "attention_in_lesion", "cell_hit", "rank_auc", "top_area_iou")
    return Predictions(
        file_names=table.file_names[rows],
        labels=table.labels[rows].astype(np.int64),
        probabilities=chances,
        patients=table.patients[rows],
        sources=table.sources[rows],
        split=split,
        overlap=dict.fromkeys(columns, score),
    )


def attribute(run: PlannedRun, names: np.ndarray, **_: object) -> dict[str, Predictions]:
    """Replaces attribution by the attention maps."""
    predictions = predictions_of(run)
    explained = predictions.select(np.isin(predictions.file_names, names))
    return dict.fromkeys(attributions.CHOSEN, explained)
