"""A segmenter from its first step to its evaluation, by the loop and commands of the classifier."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import tfds_builders
from mgajax import config as configs
from mgajax.errors import ConfigError, DataError
from mgajax.evaluation.run import evaluate_run
from mgajax.training.logs import read_rows
from mgajax.training.loop import train
from mgajax.training.run import open_run
from mgajax.training.trained import load_trained

SMALL = (
    "--config.model.options.trunk=hrnet_tiny",
    "--config.preparation.image_size=32",
    "--config.batch_size=8",
    "--config.eval_batch_size=8",
    "--config.epochs=2",
    "--config.max_steps=3",
    "--config.devices=1",
    "--config.log_every=1",
)


@pytest.fixture
def draw(tmp_path: Path) -> Callable[[float], Path]:
    """Builds the tiny phantom with a share of annotated patients."""

    def build(annotated: float) -> Path:
        folder = tmp_path / "data"
        return tfds_builders.build(
            "ct_phantom", data_dir=folder, builder_config="tiny", annotated=annotated
        ).directory

    return build


def load(data: Path, *changes: str, name: str = "hmsanet"):
    words = [f"--config.data.dir={data}", *changes]
    return configs.load(f"configs/segmentation/{name}.py", overrides=words)


def test_train_resume_evaluate(phantom: Path, tmp_path: Path) -> None:
    config = load(phantom, *SMALL, "--config.split.kind=leaking_slices")
    summary = train(config, workdir=tmp_path / "run")
    assert (summary.steps, summary.finished) == (3, True)
    assert summary.best.startswith("validation Dice ")
    names = {name for row in read_rows(tmp_path / "run" / "metrics.jsonl") for name in row}
    assert {"train/loss", "train/cross_entropy", "train/auxiliary", "train/dice"} <= names
    assert {"validation/cross_entropy"} <= names

    assert load_trained(tmp_path / "run").step == 3
    done = evaluate_run(tmp_path / "run")
    written = json.loads((tmp_path / "run" / "evaluation" / "test.json").read_text())
    assert written["task"] == "segmentation"
    assert written["split_leaks"] is True
    assert written["n"] == len(open_run(config, workdir=tmp_path / "run").rows("test"))
    assert {"iou", "dice", "precision", "recall"} <= written["pooled"].keys()
    assert all(path.is_file() for path in done.files)


def test_only_annotated_slices_are_examples(draw, tmp_path: Path) -> None:
    run = open_run(load(draw(0.5), *SMALL), workdir=tmp_path / "run")
    origins = run.data.table.mask_origins
    assert set(origins) == {"annotated", "none"}
    for split in ("train", "validation", "test"):
        assert set(origins[run.rows(split)]) == {"annotated"}
    assert run.usable.sum() == (origins == "annotated").sum()


def test_a_data_set_without_masks_and_a_classifier_are_refused(draw, tmp_path: Path) -> None:
    unannotated = draw(0.0)
    with pytest.raises(DataError, match="no usable training slice .*annotated lesion mask"):
        open_run(load(unannotated, *SMALL), workdir=tmp_path / "run")
    with pytest.raises(ConfigError, match="model.name='resnet18'"):
        open_run(load(unannotated, "--config.model.name=resnet18"), workdir=tmp_path / "run")
