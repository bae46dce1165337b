"""A built set that tests of segmentation read, and `predict` with stand-ins for the trained networks,
which see the drawn slices pixel by pixel."""

import functools
from pathlib import Path
from typing import Any

import pytest
from drawn_runs import bright_run, brightness_run, build
from drawn_scans import SIDE, WINDOW, Predict

from mgajax.imaging.windows import find_window
from mgajax.inference import predict as predicting
from mgajax.inference import predictor
from mgajax.inference.predict import Outcome, predict
from mgajax.inference.scanning import Settings


@pytest.fixture(scope="session")
def slices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`PartlyAnnotated` as a built data set."""
    return build(tmp_path_factory.mktemp("partly_annotated"))


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs called "finder" and "classifier*" are there; lesion is what is brighter than 217."""
    exact = {"image_size": SIDE, "crop": "none", "background": "keep", "normalise": "none"}
    load = predictor.load_trained

    def loaded(workdir: Path, overrides: list[str]):
        if workdir.name == "finder":
            return bright_run(devices=1, level=1.2, **exact)
        if workdir.name.startswith("classifier"):
            return brightness_run(level=float(workdir.name[10:] or 0), **exact)
        return load(workdir, overrides=overrides)

    monkeypatch.setattr(predictor, "load_trained", loaded)
    monkeypatch.setattr(predicting, "Predictor", shared_predictor)


def shared_predictor(*runs: Path, overrides: list[str], **options: object) -> predictor.Predictor:
    """The same one for the same runs and options: stand-ins are compiled once a session."""
    return _made(runs, tuple(overrides), **options)


@functools.cache
def _made(
    runs: tuple[Path, ...], overrides: tuple[str, ...], **options: Any
) -> predictor.Predictor:
    return predictor.Predictor(*runs, overrides=overrides, **options)


@pytest.fixture
def run(tmp_path: Path) -> Predict:
    """`predict` into `tmp_path/out`, with both stand-ins and the drawn scans' window."""

    def call(*inputs: Path, out: str = "out", **options: object) -> Outcome:
        settings = {"attribution": "none", "window": find_window(WINDOW), "batch_size": 4} | options
        return predict(
            inputs,
            out=tmp_path / out,
            classifiers=[Path("classifier")],
            segmenter=Path("finder"),
            settings=Settings(**settings),
        )

    return call
