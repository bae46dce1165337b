"""Settings refused before PyTorch's process starts, and its error messages. Needs no PyTorch."""

import stat
import sys
from pathlib import Path

import pytest

from mgajax import config as configs
from mgajax import models
from mgajax.benchmark.compiled_step import make_subject
from mgajax.benchmark.step_time import measure_step
from mgajax.benchmark.torch_baseline.job import read_job, write_job
from mgajax.benchmark.torch_process import check_comparable, make_job, torch_weights
from mgajax.errors import ConfigError

SMALL = ("--config.preparation.image_size=32", "--config.batch_size=4")
ONE = (*SMALL, "--config.devices=1")
CONFIGS = {
    "resnet50": "configs/classification/resnet50.py",
    "mga_resnet18": "configs/classification/mga_resnet18.py",
    "densenet121": "configs/classification/densenet121.py",
    "unet": "configs/segmentation/unet.py",
    "segnet": "configs/segmentation/segnet.py",
    "deeplabv3_resnet50": "configs/segmentation/deeplabv3.py",
    "hmsanet": "tests/narrow/hmsanet.py",
    "mga_narrow": "tests/narrow/mga_resnet18.py",
}


def load(name: str, *overrides: str):
    return configs.load(CONFIGS[name], overrides=overrides)


def test_several_devices_are_refused() -> None:
    subject = make_subject(load("mga_narrow", *SMALL, "--config.devices=2"))
    with pytest.raises(ConfigError, match=r"on 2 devices.*--config.devices=1"):
        check_comparable(subject)


def test_a_loss_without_a_peer_is_refused() -> None:
    subject = make_subject(load("hmsanet", *ONE, "--config.loss.kind=rmi"))
    with pytest.raises(ConfigError, match="loss.kind=cross_entropy"):
        check_comparable(subject)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("import sys; sys.exit('no torch here')", "ended with exit code 1"),
        (None, "No such file"),
    ],
)
def test_an_interpreter_that_cannot_is_one_line(script: str | None, message: str, tmp_path) -> None:
    python = tmp_path / "python"
    if script is not None:
        python.write_text(f"#!{sys.executable}\n{script}\n")
        python.chmod(python.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(ConfigError, match=message):
        measure_step(load("mga_narrow", *ONE), steps=4, peer_python=python)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_network_becomes_a_job(name: str, tmp_path: Path) -> None:
    subject = make_subject(load(name, *ONE))
    job, weights = make_job(subject), torch_weights(subject)
    write_job(tmp_path, job, weights=weights, batch={"labels": subject.batch.labels})
    read, arrays, batch = read_job(tmp_path)
    assert (read.family, read.task, read.learned) == (job.family, job.task, job.learned)
    assert read.dimensions["num_classes"] == subject.settings.model.num_classes
    assert arrays.keys() == weights.keys()
    assert (batch["labels"] == subject.batch.labels).all()
    params = sum(a.size for key, a in weights.items() if ".running_" not in key)
    assert params == models.count({"params": subject.state.params["model"]})
    assert read.guided == ("stage3" if name.startswith("mga") else None)
    if name == "mga_narrow":
        sizes = {key: read.dimensions[key] for key in ("width", "depths", "stages")}
        assert sizes == {"width": 16, "depths": [1, 1, 1, 1], "stages": [1, 2, 3]}
