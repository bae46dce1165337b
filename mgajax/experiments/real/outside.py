"""External test set: slices of another hospital, on which every classifier is evaluated."""

import hashlib
import time
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np

from mgajax.evaluation.evaluation_report import results_folder
from mgajax.evaluation.other_set import JudgingData, SetOptions
from mgajax.evaluation.predictions import Predictions
from mgajax.experiments.compare import predictions_of
from mgajax.experiments.plan import PlannedRun
from mgajax.experiments.real.stage_times import SUFFIX, StageTimes

STAGE = "one classifier on the outside set"
"""Name of the stage in the results."""


class OutsideSet:
    """The external set, prepared once for all runs with the same preparation."""

    def __init__(self, place: Path, *, times: StageTimes) -> None:
        """Name the results by a hash of the set's files.

        Args:
          place: as `mgajax evaluate --data` takes it.
          times: gets the seconds of evaluating.
        """
        self.times = times
        self.name = f"outside-{_digest(place)}"
        self.data = JudgingData(place, SetOptions(name=self.name))

    def predictions(self, run: PlannedRun) -> Predictions:
        """A run's predictions for the set; computed if they are missing.

        Raises:
          DataError: the set cannot be read.
          LeakageError: the run was trained on patients of the set.
        """
        seconds_file = run.folder / f"{self.name}{SUFFIX}"
        self.times.count(STAGE, seconds_file)
        if not (results_folder(run.folder) / f"{self.name}_predictions.csv").is_file():
            began = time.monotonic()
            self.data.evaluate(run.folder)
            self.times.add(STAGE, seconds_file, seconds=time.monotonic() - began)
            jax.clear_caches()  # programs of no use to the next run
        predictions = predictions_of(run, split=self.name)
        unknown = predictions.patients == ""
        people = np.where(unknown, predictions.file_names, predictions.patients)
        return replace(predictions, patients=people)


def _digest(place: Path) -> str:
    """Hash of the paths and sizes of a set's files, so that results of other files get another name."""
    paths = sorted(path for path in place.rglob("*") if path.is_file()) or [place]
    lines = [f"{path.relative_to(place)} {path.stat().st_size}" for path in paths if path.exists()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]
