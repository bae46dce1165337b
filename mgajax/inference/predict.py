"""`mgajax predict`: all inputs, scan by scan."""

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mgajax import config as configs
from mgajax.errors import ConfigError, DataError
from mgajax.explanation.methods import METHODS
from mgajax.files import naming_file, write_text
from mgajax.imaging.windows import PUBLISHED
from mgajax.inference.inputs import find_scans
from mgajax.inference.prediction_page import overview_page, scan_page
from mgajax.inference.predictor import SPREAD, Predictor
from mgajax.inference.problems import RESEARCH_USE, Problem, Problems
from mgajax.inference.results import (
    LEAST_CHEST,
    OVERVIEW,
    PATIENTS,
    SETTINGS_FILE,
    ScanResult,
    open_tables,
    write_patients,
)
from mgajax.inference.scanning import Settings, layer_names, predict_scan
from mgajax.inference.thorax import LEAST_INSIDE, MARGIN
from mgajax.models.registry import CLASSIFIERS, SEGMENTERS

ATTRIBUTIONS = (*(name for name in METHODS if name != "attention"), "none")


@dataclass(frozen=True, eq=False)
class Outcome:
    """The result of a call of `predict`.

    Attributes:
      scans: predicted scans.
      problems: of the input.
      page: the overview.
    """

    scans: tuple[ScanResult, ...]
    problems: tuple[Problem, ...]
    page: Path


def predict(
    inputs: Sequence[Path],
    *,
    out: Path,
    classifiers: Sequence[Path] = (),
    segmenter: Path | None = None,
    settings: Settings | None = None,
    overrides: Sequence[str] = (),
) -> Outcome:
    """Predict slices and volumes, and write tables, masks, pictures and pages.

    Args:
      inputs: see `inputs.find_scans`.
      out: a new or empty folder.
      classifiers: runs; several are an ensemble.
      segmenter: a run that finds lesions.
      settings: None for the defaults.
      overrides: `--config.key=value` for keys of the runs that do not change numbers.

    Raises:
      ConfigError: no run or one of another task, unknown settings, or `out` holds files.
      CheckpointError: a run has no checkpoint.
      DataError: nothing could be predicted.
    """
    settings = settings or Settings()
    _check(settings)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out {out}: not an empty folder; give another one")
    predictor = _load_predictor(classifiers, segmenter, settings=settings, overrides=overrides)
    problems, results = Problems(), []
    out.mkdir(parents=True, exist_ok=True)
    notes = _explain_numbers(predictor, settings=settings)
    with (
        naming_file(out),
        tempfile.TemporaryDirectory(prefix=".unpacked-", dir=out) as unpacked,
        open_tables(out) as table,
    ):
        scans = find_scans(inputs, unpacked=Path(unpacked), turn=settings.turn, problems=problems)
        for scan in scans:
            folder = out / scan.name
            result = None
            with problems.guard(f"{scan.source}, scan {scan.name}"), naming_file(folder):
                result = predict_scan(
                    scan, predictor=predictor, folder=folder, settings=settings, problems=problems
                )
            if result is None:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            table.add(result)
            layers = layer_names(predictor, settings=settings)
            write_text(scan_page(result, layers=layers, notes=notes), folder / OVERVIEW)
            results.append(result)
    write_patients(results, out / PATIENTS)
    page = out / OVERVIEW
    write_text(overview_page(results, problems=problems.noted, notes=notes), page)
    report = _report(predictor, settings, inputs=inputs, results=results, problems=problems)
    write_text(json.dumps(report, indent=2), out / SETTINGS_FILE)
    if not results:
        raise DataError(f"{_join(inputs)}: nothing that could be predicted; see {page}")
    return Outcome(tuple(results), tuple(problems.noted), page)


def _check(settings: Settings) -> None:
    if settings.attribution not in ATTRIBUTIONS:
        raise ConfigError(
            f"--attribution {settings.attribution}: expected {', '.join(ATTRIBUTIONS)}"
        )
    if not 0.0 < settings.threshold < 1.0:
        raise ConfigError(f"--threshold {settings.threshold}: expected a probability, 0 to 1")
    if settings.batch_size < 1:
        raise ConfigError(f"--batch_size {settings.batch_size}: expected at least 1")


def _load_predictor(
    classifiers: Sequence[Path],
    segmenter: Path | None,
    *,
    settings: Settings,
    overrides: Sequence[str],
) -> Predictor:
    """Load the runs, and check that each has the task of its option."""
    runs = [*classifiers, *filter(None, [segmenter])]
    if not runs:
        raise ConfigError("give --classifier RUN, --segmenter RUN, or both")
    buckets = [2**n for n in range((settings.batch_size - 1).bit_length())]
    predictor = Predictor(
        *runs,
        variations=settings.variations,
        buckets=(*buckets, settings.batch_size),
        overrides=overrides,
    )
    if len(predictor.classifiers) != len(classifiers):
        raise ConfigError(
            f"--classifier {_join(classifiers)}, --segmenter {segmenter}: the first take runs of "
            f"{', '.join(CLASSIFIERS)}, the other one of {', '.join(SEGMENTERS)}"
        )
    return predictor


def _explain_numbers(predictor: Predictor, *, settings: Settings) -> list[str]:
    """What the numbers mean, for the pages."""
    rendering = (
        "each slice from its minimum to its maximum, as the published set"
        if settings.window is None
        else f"window {settings.window} HU"
    )
    notes = [f"Hounsfield units are rendered {rendering}; turn: {settings.turn}."]
    if predictor.classifiers:
        notes.append(_explain_probabilities(len(predictor.classifiers), settings.variations))
    if predictor.segmenter is not None:
        rule = settings.lung
        notes.append(
            f"Lesion: probability of at least {settings.threshold:g}, in slices that show a chest, and "
            f"there in parts of which at least {LEAST_INSIDE:.0%} lies in the box around the open lung, "
            f"{MARGIN:.0%} of the body’s width and height wider on each side. Lung: pixels below "
            f"{rule.air_below:g} HU inside the body, in parts of at least {rule.smallest_part:.0%} of "
            "it, and the lesion. Dense lung that is not predicted as lesion is not counted, large "
            "airways are, and lung that the picture’s border cuts is not; where no open lung was "
            "found, lung and its share are empty. Volumes count each slice for one step of the series; what is missing is not filled in."
        )
    return notes


def _explain_probabilities(networks: int, variations: int) -> str:
    text = (
        "A scan’s probabilities are means over its slices that show a chest; where fewer than "
        f"{LEAST_CHEST:.0%} do, it has no class."
    )
    if networks * variations == 1:
        return f"{text} There are no intervals; --tta N or several --classifier give some."
    return (
        f"{text} Each is a mean over {networks * variations} members: networks ({networks}) × "
        f"variations of the slice ({variations}). Intervals lie between the {SPREAD[0]:.0%} and "
        f"{SPREAD[1]:.0%} quantiles of the members: they say how much the answer hangs on the network "
        "or on small changes of the slice, not how often it is right."
    )


def _report(
    predictor: Predictor,
    settings: Settings,
    *,
    inputs: Sequence[Path],
    results: Sequence[ScanResult],
    problems: Problems,
) -> dict[str, Any]:
    described = dataclasses.asdict(settings) | {"window": str(settings.window or PUBLISHED)}
    return {
        "use": RESEARCH_USE,
        "inputs": [str(path) for path in inputs],
        "settings": described,
        "networks": [
            {
                "model": network.trained.config.model.name,
                "checkpoint_step": network.trained.step,
                "preparation": dataclasses.asdict(network.settings),
            }
            for network in predictor.networks
        ],
        "scans": {scan.name: len(scan.slices) for scan in results},
        "problems": [str(problem) for problem in problems.noted],
        "notes": _explain_numbers(predictor, settings=settings),
        "provenance": configs.provenance(),
    }


def _join(paths: Sequence[Path]) -> str:
    return " ".join(map(str, paths)) or "(none)"
