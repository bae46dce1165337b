"""From a folder of real slices to an evaluated run: what drawn fixtures cannot vouch for.

The pack holds a single CAP patient, who goes to train: validation and test lack a class, and every
number that this leaves undefined must say so.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mgajax import config as configs
from mgajax.data.table import SliceTable, read_table
from mgajax.evaluation.evaluate import Evaluation, evaluate_run
from mgajax.evaluation.predictions import read_csv
from mgajax.training.loop import train
from mgajax.training.run_folder import SPLIT_FILE
from tfds_builders import build

pytestmark = pytest.mark.slow(finds="a class that is absent from a real split, told as a number")

ABSENT = "CAP"
FIGURES = ("roc.png", "confusion.png", "calibration.png", "attention.png")


@pytest.fixture(scope="module")
def pack(shared: Path) -> Path:
    return shared / "realdata" / "pack_dev"


@pytest.fixture(scope="module")
def table(pack: Path, tmp_path_factory: pytest.TempPathFactory) -> SliceTable:
    folder = tmp_path_factory.mktemp("data")
    return read_table(build("covid_ct_slices", manual_dir=pack, data_dir=folder).directory)


@pytest.fixture(scope="module")
def workdir(table: SliceTable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps."""
    folder = tmp_path_factory.mktemp("runs") / "real"
    config = configs.load(
        "tests/narrow/mga_resnet18.py",
        overrides=[
            f"--config.data.dir={table.directory}",
            "--config.preparation.image_size=32",
            "--config.batch_size=8",
            "--config.max_steps=2",
            "--config.devices=1",
            "--config.split.kind=stratified",
        ],
    )
    summary = train(config, workdir=folder)
    assert (summary.reason, summary.steps) == ("max_steps", 2)
    return folder


@pytest.fixture(scope="module", params=["validation", "test"])
def evaluation(workdir: Path, request: pytest.FixtureRequest) -> Evaluation:
    return evaluate_run(workdir, split=request.param)


def test_both_header_variants_give_one_data_set(
    pack: Path, table: SliceTable, tmp_path: Path
) -> None:
    download = tmp_path / "download"
    shutil.copytree(pack / "extra" / "kaggle_headers", download)
    for folder in ("curated_data", "masks"):
        (download / folder).symlink_to(pack / folder)
    assert (download / "meta_data_cap.csv").read_bytes() != (
        pack / "meta_data_cap.csv"
    ).read_bytes()
    other = read_table(build("covid_ct_slices", manual_dir=download, data_dir=tmp_path).directory)
    assert other.fingerprint == table.fingerprint
    assert (other.mask_origins == "annotated").sum() == 18


def test_figures_and_predictions_of_each_split_are_there(
    workdir: Path, evaluation: Evaluation
) -> None:
    split = evaluation.metrics["split"]
    files = {path.name: path for path in evaluation.files}
    figures = [f"{split}_{name}" for name in FIGURES] + ["training_curves.png"]
    assert files.keys() == {f"{split}.json", f"{split}_predictions.csv", *figures}
    for name in figures:
        with Image.open(files[name]) as picture:
            assert np.asarray(picture.convert("L")).std() > 1, name
    members = {
        line.split(",")[0]
        for line in (workdir / SPLIT_FILE).read_text().splitlines()
        if line.endswith(f",{split}")
    }
    predictions = read_csv(files[f"{split}_predictions.csv"])
    assert len(predictions) == evaluation.metrics["n"] == len(members)
    assert set(predictions.file_names) == members


def test_metrics_undefined_for_an_absent_class_are_none_with_a_reason(
    evaluation: Evaluation,
) -> None:
    metrics = evaluation.metrics
    assert metrics["three_class"]["per_class"][ABSENT]["support"] == 0
    assert metrics["three_class"]["per_class"][ABSENT]["recall"] is None
    assert metrics["three_class"]["roc_auc"]["macro"] is None
    assert metrics["covid_vs_rest"]["roc_auc"] is not None
    json.dumps(metrics, allow_nan=False)
    for block in blocks(metrics):
        reasons = dict(line.split(": ", 1) for line in block["undefined"])
        assert set(undefined(block)) == reasons.keys()
        assert all(reasons.values())
    assert f"three_class.roc_auc.{ABSENT}: no example of this class" in metrics["undefined"]
    assert "COVID-19 vs rest" in evaluation.table
    assert "nan" not in evaluation.table.lower()


def blocks(metrics: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The block of all slices, of each source and of the patients."""
    yield metrics
    yield from metrics["per_source"].values()
    yield metrics["per_patient"]


def undefined(block: dict[str, Any]) -> Iterator[str]:
    """Dotted paths of the values of a block that are None."""

    def walk(tree: dict[str, Any], path: str) -> Iterator[str]:
        for key, value in tree.items():
            if isinstance(value, dict):
                yield from walk(value, f"{path}.{key}")
            elif value is None:
                yield f"{path}.{key}"

    for name in ("three_class", "covid_vs_rest"):
        yield from walk(block[name], name)
