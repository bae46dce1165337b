"""The predictions behind a study's numbers, in one small file beside its results.

Every metric, interval and verdict of a study of classifiers can be computed from its runs' predictions:
file names, patients, classes, probabilities, and the scores of each slice's attention against its
lesion. Intervals of attention resample these scores, so no attention map is stored.
"""

import io
import json
import lzma
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mgajax import config as configs
from mgajax.errors import DataError
from mgajax.evaluation.evaluation_report import EVALUATION_FOLDER
from mgajax.experiments.datasets import DataSets
from mgajax.experiments.execution import RunStatus
from mgajax.experiments.plan import PlannedRun
from mgajax.experiments.studies import STUDIES
from mgajax.experiments.study import StudyInput, StudyResults
from mgajax.files import write_bytes

ARCHIVE = "predictions.tar.xz"
"""In an experiment's folder; holds evaluation's tables, `RUN/evaluation/test_predictions.csv`."""

RUNS, SEGMENTERS = "runs", "step1"
"""Folders of the archive."""

CLASSIFIER_FILES = ("test_predictions.csv",)
SEGMENTER_FILES = ("test.json", "test_slices.csv")


def keep_predictions(finished: StudyInput) -> Path | None:
    """Write the archive into the experiment's folder: equal bytes for equal predictions.

    Returns:
      None where no run has predictions of classes.
    """
    entries = {name: path.read_bytes() for name, path in _entries(finished)}
    if not any(name.startswith(f"{RUNS}/") for name in entries):
        return None
    return pack(entries, finished.out / ARCHIVE)


def pack(entries: Mapping[str, bytes], path: Path) -> Path:
    """Write an archive of files by name: equal bytes for equal content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz", preset=9) as archive:
        for name, content in sorted(entries.items()):
            header = tarfile.TarInfo(name)  # its time is 0, its owner nobody
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return write_bytes(buffer.getvalue(), path)


def unpack(path: Path, *, into: Path) -> None:
    """Unpack an archive.

    Raises:
      DataError: it is missing or damaged.
    """
    try:
        with tarfile.open(path) as archive:
            archive.extractall(into, filter="data")
    except (OSError, EOFError, lzma.LZMAError, tarfile.TarError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error


def _entries(finished: StudyInput) -> Iterator[tuple[str, Path]]:
    """The name in the archive and the path of each file."""
    runs = [run.folder for by_seed in finished.arms.values() for run in by_seed.values()]
    for kind, folders, names in (
        (RUNS, runs, CLASSIFIER_FILES),
        (SEGMENTERS, finished.data.segmenters, SEGMENTER_FILES),
    ):
        for folder in folders:
            for name in names:
                path = folder / EVALUATION_FOLDER / name
                if path.is_file():
                    yield f"{kind}/{folder.name}/{EVALUATION_FOLDER}/{name}", path


def recompute(results: Path, *, into: Path) -> StudyResults:
    """Compute a study's numbers again from its archived predictions; nothing is trained or evaluated.

    Args:
      results: the folder with `results.json` and the archive.
      into: an empty folder; gets the unpacked files and the figures.

    Raises:
      DataError: one of the two is missing or damaged, or the study was done by another plan.
    """
    content = _results(results / "results.json")
    study = STUDIES[content["experiment"]]
    if content["plan"] not in (study.plan, study.drawn_plan):
        raise DataError(f"{results}: done by {content['plan']}; expected the study's {study.plan}")
    unpack(results / ARCHIVE, into=into)
    return study.examine(_kept_input(content, into=into))


def _kept_input(content: dict[str, Any], *, into: Path) -> StudyInput:
    """The study's input as it was when its runs had finished."""
    plan = configs.load(configs.shipped_file(content["plan"]))
    arms: dict[str, dict[int, PlannedRun]] = {arm: {} for arm in plan}
    failed = {
        run["arm"]: ("failed", run["reason"])
        for run in content["runs"]
        if run["status"] == RunStatus.FAILED
    }
    for run in content["runs"]:
        arm, seed = run["arm"], run["seed"]
        place = into / RUNS / Path(run["folder"]).name
        if run["status"] == RunStatus.FINISHED:
            arms[arm][seed] = PlannedRun(arm, seed, plan[arm], place, run["fingerprint"])
    data = DataSets(built=None, draw=_draw_nothing, folder=into, phantom={})
    data.segmenters = sorted((into / SEGMENTERS).glob("*"))
    finished = {arm: runs for arm, runs in arms.items() if runs}
    missing = {arm: failed.get(arm, ("not run", "")) for arm in plan if arm not in finished}
    return StudyInput(into, finished, dict(plan.items()), missing, data)


def _draw_nothing(*_: object, **__: object) -> Path:
    raise DataError("kept predictions are all there is; this study needs its data set")


def _results(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    return content
