"""What is refused before the other side runs, and how it is told that it cannot. Needs no PyTorch."""

import stat
import sys
from pathlib import Path

import pytest

from mgajax import config as configs
from mgajax import models
from mgajax.benchmark.peer_process import check_comparable, make_job, torch_weights
from mgajax.benchmark.program import make_subject
from mgajax.benchmark.step_time import measure_step
from mgajax.errors import ConfigError
from mgajax.peer.job import read_job, write_job

SMALL = ("--config.preparation.image_size=32", "--config.batch_size=4")
ONE = (*SMALL, "--config.devices=1")
CONFIGS = {
    "resnet50": "classification/resnet50",
    "mga_resnet18": "classification/mga_resnet18",
    "densenet121": "classification/densenet121",
    "unet": "segmentation/unet",
    "segnet": "segmentation/segnet",
    "deeplabv3_resnet50": "segmentation/deeplabv3",
    "hmsanet": "segmentation/hmsanet",
}


def load(name: str, *overrides: str):
    return configs.load(f"configs/{CONFIGS[name]}.py", overrides=overrides)


def test_several_devices_are_refused() -> None:
    subject = make_subject(load("mga_resnet18", *SMALL, "--config.devices=2"))
    with pytest.raises(ConfigError, match=r"on 2 devices.*--config.devices=1"):
        check_comparable(subject)


def test_a_loss_without_a_peer_is_refused() -> None:
    tiny = "--config.model.options.trunk=hrnet_tiny"
    subject = make_subject(load("hmsanet", *ONE, tiny, "--config.loss.kind=rmi"))
    with pytest.raises(ConfigError, match="loss.kind=cross_entropy"):
        check_comparable(subject)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("import sys; sys.exit('no torch here')", "ended with code 1"),
        (None, "No such file"),
    ],
)
def test_an_interpreter_that_cannot_is_one_line(script: str | None, told: str, tmp_path) -> None:
    python = tmp_path / "python"
    if script is not None:
        python.write_text(f"#!{sys.executable}\n{script}\n")
        python.chmod(python.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(ConfigError, match=told):
        measure_step(load("mga_resnet18", *ONE), steps=4, peer_python=python)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_network_becomes_a_job(name: str, tmp_path: Path) -> None:
    tiny = ("--config.model.options.trunk=hrnet_tiny",) if name == "hmsanet" else ()
    subject = make_subject(load(name, *SMALL, "--config.devices=1", *tiny))
    job, weights = make_job(subject), torch_weights(subject)
    write_job(tmp_path, job, weights=weights, batch={"labels": subject.batch.labels})
    read, arrays, batch = read_job(tmp_path)
    assert (read.family, read.task, read.learned) == (job.family, job.task, job.learned)
    assert read.dimensions["num_classes"] == subject.settings.model.num_classes
    assert arrays.keys() == weights.keys()
    assert (batch["labels"] == subject.batch.labels).all()
    params = sum(a.size for key, a in weights.items() if ".running_" not in key)
    assert params == models.count({"params": subject.state.params["model"]})
    assert read.guided == ("stage3" if name == "mga_resnet18" else None)
