"""A run's folder as the report reads it: text files only, and any of them may be absent."""

import csv
import re
import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mgajax import config as configs
from mgajax.config import CONFIG_FILE
from mgajax.errors import DataError
from mgajax.evaluation import predictions
from mgajax.evaluation.evaluation_report import EVALUATION_FOLDER
from mgajax.evaluation.predictions import Predictions
from mgajax.reporting.html.blocks import Missing
from mgajax.reporting.result_folders import FolderKind, ResultFolder, read_json
from mgajax.schema import DATA_SETS, SPLITS
from mgajax.training.loop import SUMMARY_FILE
from mgajax.training.metrics_log import METRICS_FILE, read_rows
from mgajax.training.run_folder import SPLIT_FILE

REPORT_KEYS = {"task", "model", "split", "n", "intervals", "per_source"}
"""What every report of `mgajax evaluate` holds."""

SET_KEYS = {*REPORT_KEYS, "set", "set_kind", "leaks", "remarks"} - {"split"}
"""What every report of it on another set holds."""

VERSION = re.compile(r"\d+\.\d+\.\d+")


@dataclass(frozen=True, eq=False)
class SliceScores:
    """A segmenter's slices: file names, patients, sources, and the Dice of each."""

    file_names: np.ndarray
    patients: np.ndarray
    sources: np.ndarray
    dice: np.ndarray


@dataclass(frozen=True, eq=False)
class SplitResults:
    """One evaluated split, or another set that the run was judged by.

    Attributes:
      split: its name.
      metrics: the JSON report.
      predictions: of a classifier; None where the table is absent.
      slices: of a segmenter; None where the table is absent.
      picture: of attention or of masks; None where absent.
    """

    split: str
    metrics: dict[str, Any]
    predictions: Predictions | None
    slices: SliceScores | None
    picture: Path | None


@dataclass(frozen=True, eq=False)
class ReportedRun:
    """A run, finished or not.

    Attributes:
      folder: where it is and what it is called.
      config: every key by its dotted name.
      record: what stands beside the configuration: provenance, fingerprint, split.
      summary: how training ended; None while it has not.
      rows: of `metrics.jsonl`.
      counts: by split, slices of each class and "patients".
      evaluations: test first.
      other_sets: results on sets that it was not trained on, by name.
      explanations: folders of `mgajax explain` in the run's.
      missing: what is not there, and the command that makes it.
    """

    folder: ResultFolder
    config: Mapping[str, Any]
    record: Mapping[str, Any]
    summary: Mapping[str, Any] | None
    rows: list[dict[str, float | int]]
    counts: Mapping[str, Mapping[str, int]]
    evaluations: tuple[SplitResults, ...]
    other_sets: tuple[SplitResults, ...]
    explanations: tuple[Path, ...]
    missing: tuple[Missing, ...]

    @property
    def model(self) -> str:
        """The registered name."""
        return str(self.config["model.name"])

    @property
    def data_set(self) -> str:
        """The name of its data, as `ct_phantom/quickstart 1.0.0`; a folder of another kind by its own."""
        *parts, version = Path(self.config["data.dir"]).parts or ("unknown",)
        data_set = next((part for part in DATA_SETS if part in parts), None)
        if data_set is None:
            return version
        name = "/".join(parts[parts.index(data_set) :])
        return f"{name} {version}" if VERSION.fullmatch(version) else f"{name}/{version}"

    @property
    def fingerprint(self) -> str:
        """Of the data that it was trained on."""
        return str(self.record.get("data_fingerprint", "unknown"))

    @property
    def classifies(self) -> bool:
        """Whether the run's task is classification."""
        return bool(self.config["task"] == "classification")

    @property
    def steps(self) -> int:
        """The last step that was logged, or that the summary names."""
        logged = max((int(row["step"]) for row in self.rows), default=0)
        return max(logged, int(self.summary["steps"]) if self.summary else 0)


def read_run(result_folder: ResultFolder) -> ReportedRun:
    """Read a run's folder.

    Raises:
      ConfigError: its `config.json` is damaged.
    """
    folder = result_folder.path
    config, record = configs.read(folder / CONFIG_FILE)
    flat = configs.flatten(config)
    problems: list[Missing] = []
    summary = _summary(folder, problems)
    log = folder / METRICS_FILE
    rows = read_rows(log) if log.is_file() else []
    if not rows:
        problems.append(Missing(f"No {METRICS_FILE}: nothing has been logged yet"))
    evaluations = _evaluations(folder, problems)
    explanations = tuple(sorted(path.parent for path in folder.glob(f"*/{FolderKind.EXPLANATION}")))
    if flat["task"] == "classification" and not explanations:
        explain = (
            f"mgajax explain --workdir {_quote(folder)} --out {_quote(folder / 'explanation')}"
        )
        problems.append(Missing("Not explained: no attribution maps", explain))
    return ReportedRun(
        folder=result_folder,
        config=flat,
        record=record,
        summary=summary,
        rows=rows,
        counts=_counts(folder / SPLIT_FILE),
        evaluations=evaluations,
        other_sets=_other_sets(folder, problems),
        explanations=explanations,
        missing=tuple(problems),
    )


def _summary(folder: Path, problems: list[Missing]) -> Mapping[str, Any] | None:
    again = f"mgajax train --config FILE --workdir {_quote(folder)}"
    try:
        summary = read_json(folder / SUMMARY_FILE)
    except DataError as error:
        problems.append(Missing(str(error), again))
        return None
    if summary is None or not summary.get("finished"):
        reason = "Training has not ended; with its own file and keys, it goes on by"
        problems.append(Missing(reason, again))
    return summary


def _evaluations(folder: Path, problems: list[Missing]) -> tuple[SplitResults, ...]:
    evaluations = []
    for split in reversed(SPLITS):
        again = f"mgajax evaluate --workdir {_quote(folder)} --split {split}"
        path = folder / EVALUATION_FOLDER / f"{split}.json"
        try:
            metrics = read_json(path)
            if metrics is None:
                if split == "test":
                    problems.append(Missing("Not evaluated on the test split", again))
                continue
            if not metrics.keys() >= REPORT_KEYS:
                raise DataError(f"{path}: not a report of this version")
            results = _read_split(folder / EVALUATION_FOLDER, split, metrics)
        except DataError as error:
            problems.append(Missing(str(error), again))
            continue
        if results.predictions is None and results.slices is None:
            problems.append(
                Missing(f"No table of the {split} slices: some figures are left out", again)
            )
        evaluations.append(results)
    return tuple(evaluations)


def _other_sets(folder: Path, problems: list[Missing]) -> tuple[SplitResults, ...]:
    """Reports of other sets; files that are none are passed over, damaged ones told."""
    results = []
    for path in sorted((folder / EVALUATION_FOLDER).glob("*.json")):
        if path.stem in SPLITS:
            continue
        try:
            metrics = read_json(path)
            if metrics is None or metrics.get("set") != path.stem:
                continue
            if not metrics.keys() >= SET_KEYS:
                raise DataError(f"{path}: not a report of this version")
            results.append(_read_split(folder / EVALUATION_FOLDER, path.stem, metrics))
        except DataError as error:
            again = f"mgajax evaluate --workdir {_quote(folder)} --data PATH --name {path.stem}"
            problems.append(Missing(str(error), again))
    return tuple(results)


def _read_split(folder: Path, split: str, metrics: dict[str, Any]) -> SplitResults:
    table, slices = folder / f"{split}_predictions.csv", folder / f"{split}_slices.csv"
    pictures = (folder / f"{split}_{kind}.png" for kind in ("attention", "panel"))
    return SplitResults(
        split=split,
        metrics=metrics,
        predictions=predictions.read_csv(table) if table.is_file() else None,
        slices=_read_slices(slices) if slices.is_file() else None,
        picture=next((path for path in pictures if path.is_file()), None),
    )


def _read_slices(path: Path) -> SliceScores:
    """The table of slices; raises DataError where a column is missing or a number unreadable."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        keys = ("file_name", "patient", "source", "dice")
        names, patients, sources, dice = ([row[key] for row in rows] for key in keys)
        scores = np.array([float(text) if text else np.nan for text in dice])
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path}: damaged ({error})") from error
    return SliceScores(
        np.array(names, str), np.array(patients, str), np.array(sources, str), dice=scores
    )


def _counts(path: Path) -> dict[str, dict[str, int]]:
    """Slices of each class, and patients, in each split; nothing where there is no such table."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    labels = Counter((row["split"], row["label"]) for row in rows)
    people = Counter(split for split, _ in {(row["split"], row["patient"]) for row in rows})
    names = dict.fromkeys(row["label"] for row in rows)
    return {
        split: {**{name: labels[split, name] for name in names}, "patients": people[split]}
        for split in SPLITS
    }


def _quote(path: Path) -> str:
    return shlex.quote(str(path))
