"""What everything that opens a run refuses, and that opening runs no file of the user's."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mgajax.cli import main
from mgajax.config import loading
from mgajax.data.preparation import Preparation
from mgajax.errors import ConfigError
from mgajax.training.config_checks import PREPARATION_KEY, UNRECORDED_PREPARATION
from mgajax.training.loop import train
from mgajax.training.run import reopen_run
from mgajax.training.trained import load_trained

RUN = "RUN"
"""Stands for the run's folder in the words of a command."""

COMMANDS = {
    "evaluate": ("--workdir", RUN),
    "segment": ("--workdir", RUN, "--data", "d", "--out", "o"),
    "predict": ("--classifier", RUN, "--input", RUN, "--out", "o"),
    "explain": ("--workdir", RUN, "--images", RUN, "--method", "ig", "--out", "o"),
    "export": ("--workdir", RUN, "--format", "safetensors", "--out", "o"),
}


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, free to change."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def rewrite(workdir: Path, change: Callable[[dict], object]) -> None:
    """Change the run's `config.json`."""
    file = workdir / "config.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_a_run_records_its_preparation(trained: Path) -> None:
    content = json.loads((trained / "config.json").read_text())
    defaults = Preparation()
    assert content[PREPARATION_KEY] == {
        "version": defaults.version,
        "margin": defaults.margin,
        "low_percentile": defaults.low_percentile,
        "high_percentile": defaults.high_percentile,
        "minimum_foreground": defaults.minimum_foreground,
    }
    assert set(UNRECORDED_PREPARATION) == set(content[PREPARATION_KEY])


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_uses_weights_of_another_preparation(
    command: str, copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite(copied, lambda content: content[PREPARATION_KEY].update(version=1))
    monkeypatch.chdir(copied.parent)
    words = [str(copied) if word == RUN else word for word in COMMANDS[command]]
    assert main([command, *words]) == 2
    errors = capsys.readouterr().err
    assert "preparation version=1, this program prepares with 2" in errors
    assert f"--config.init_from={copied}" in errors
    assert not (copied.parent / "o").exists()


def test_training_does_not_go_on_under_another_preparation(copied: Path, small_config) -> None:
    rewrite(copied, lambda content: content[PREPARATION_KEY].update(margin=0.05))
    with pytest.raises(ConfigError, match=r"preparation margin=0\.05, this program .* 0\.02"):
        train(small_config(), workdir=copied)


def test_a_run_from_before_preparations_were_recorded_has_the_second(copied: Path) -> None:
    rewrite(copied, lambda content: content.pop(PREPARATION_KEY))
    assert load_trained(copied).step == 6


def test_an_unknown_key_of_a_run_is_reported(copied: Path) -> None:
    rewrite(copied, lambda content: content["config"].update(epoch=3))
    for opened in (load_trained, reopen_run):
        with pytest.raises(ConfigError, match=r"config\.json: unknown key epoch=3; did you mean"):
            opened(copied)


def test_opening_a_run_executes_no_file(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for task in ("classification", "segmentation"):
        folder = tmp_path / "configs" / task
        folder.mkdir(parents=True)
        for name in ("__init__", "common", "mga_resnet18"):
            (folder / f"{name}.py").write_text("raise SystemExit('executed')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loading, "_get_config", lambda file: pytest.fail(f"{file} was executed"))
    assert reopen_run(copied).total_steps == 6
    assert load_trained(copied).step == 6
