"""A segmenter from its first step to its evaluation, by the loop and commands of the classifier."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import tfds_builders
from mgajax.errors import ConfigError, DataError
from mgajax.evaluation.evaluate import evaluate_run
from mgajax.training.metrics_log import read_rows
from mgajax.training.run import open_run, reopen_run
from mgajax.training.trained import load_trained


@pytest.fixture
def draw(tmp_path: Path) -> Callable[[float], Path]:
    """Builds the tiny phantom with a share of annotated patients."""

    def build(annotated: float) -> Path:
        folder = tmp_path / "data"
        return tfds_builders.build(
            "ct_phantom", data_dir=folder, builder_config="tiny", annotated=annotated
        ).directory

    return build


def test_a_segmenters_run_leaves_the_same_files_as_a_classifiers(trained_segmenter: Path) -> None:
    summary = json.loads((trained_segmenter / "summary.json").read_text())
    assert (summary["steps"], summary["finished"]) == (3, True)
    assert summary["best"].startswith("validation Dice ")
    names = {name for row in read_rows(trained_segmenter / "metrics.jsonl") for name in row}
    assert {"train/loss", "train/cross_entropy", "train/auxiliary", "train/dice"} <= names
    assert {"validation/cross_entropy"} <= names
    assert load_trained(trained_segmenter).step == 3


def test_it_is_evaluated(trained_segmenter: Path, tmp_path: Path) -> None:
    workdir = Path(shutil.copytree(trained_segmenter, tmp_path / "run"))
    evaluation = evaluate_run(workdir)
    written = json.loads((workdir / "evaluation" / "test.json").read_text())
    assert written["task"] == "segmentation"
    assert written["split_leaks"] is True
    assert written["n"] == len(reopen_run(workdir).data.rows("test"))
    assert {"iou", "dice", "precision", "recall"} <= written["pooled"].keys()
    assert all(path.is_file() for path in evaluation.files)


def test_only_annotated_slices_are_examples(draw, small_config, tmp_path: Path) -> None:
    config = small_config(f"--config.data.dir={draw(0.5)}", model="hmsanet")
    run = open_run(config, workdir=tmp_path / "run")
    origins = run.data.table.mask_origins
    assert set(origins) == {"annotated", "none"}
    for split in ("train", "validation", "test"):
        assert set(origins[run.data.rows(split)]) == {"annotated"}
    assert run.data.is_example.sum() == (origins == "annotated").sum()


def test_a_data_set_without_masks_and_a_classifier_are_refused(
    draw, small_config, tmp_path: Path
) -> None:
    unannotated = f"--config.data.dir={draw(0.0)}"
    with pytest.raises(DataError, match="no usable training slice .*annotated lesion mask"):
        open_run(small_config(unannotated, model="hmsanet"), workdir=tmp_path / "run")
    config = small_config(unannotated, "--config.model.name=resnet18", model="hmsanet")
    with pytest.raises(ConfigError, match="model.name='resnet18'"):
        open_run(config, workdir=tmp_path / "run")
