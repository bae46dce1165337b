"""`config.init_from`: a run that starts from another's weights, once."""

import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from mgajax import config as configs
from mgajax.errors import ConfigError, DataError
from mgajax.training.init_from import REPORT_FILE
from mgajax.training.loop import train
from mgajax.training.run import open_run
from mgajax.training.trained import load_trained


def test_a_run_of_the_same_network(trained: Path, small_config, tmp_path: Path) -> None:
    run = open_run(small_config(f"--config.init_from={trained}"), workdir=tmp_path / "run")
    state, source = run.first_state(), load_trained(trained)
    ours, theirs = (
        jax.device_get((s.params["model"], s.batch_stats)) for s in (state, source.state)
    )
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    assert int(state.step) == 0
    assert all(float(value) == 0.0 for value in state.params["log_variances"].values())


def test_one_checkpoint_for_a_network_without_attention(
    trained: Path, small_config, tmp_path: Path
) -> None:
    step = max((path for path in (trained / "checkpoints").iterdir()), key=lambda p: int(p.name))
    config = small_config(f"--config.init_from={step}", model="resnet18")
    run = open_run(config, workdir=tmp_path / "run")
    run.first_state()
    account = (tmp_path / "run" / REPORT_FILE).read_text()
    assert "left as drawn" not in account
    assert "in the file, not used" in account
    assert "params/stage3/block0/cbam/spatial/conv/kernel" in account


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [("nowhere", ConfigError, "nowhere: not found"), ("", DataError, "no weights can be read")],
)
def test_unusable_weights_make_no_run(
    small_config, tmp_path: Path, source: str, error: type[Exception], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    path = tmp_path / (source or "empty")
    with pytest.raises(error, match=message):
        open_run(small_config(f"--config.init_from={path}"), workdir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_resume_does_not_read_it_again(
    trained: Path, small_config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workdir, gone = tmp_path / "run", tmp_path / "gone.safetensors"
    shutil.copytree(trained, workdir)
    text = (workdir / "config.json").read_text()
    (workdir / "config.json").write_text(text.replace('"init_from": ""', f'"init_from": "{gone}"'))
    summary = train(small_config(f"--config.init_from={gone}"), workdir=workdir)
    assert summary.steps == 6
    assert "init_from" not in capsys.readouterr().err
    assert not (workdir / REPORT_FILE).exists()
    with pytest.raises(ConfigError, match="holds a run with init_from="):
        train(small_config(), workdir=workdir)


def test_runs_from_before_the_key_are_read(trained: Path, tmp_path: Path) -> None:
    text = (trained / "config.json").read_text()
    (tmp_path / "config.json").write_text(text.replace('    "init_from": "",\n', ""))
    assert '"init_from"' not in (tmp_path / "config.json").read_text()
    config, _ = configs.read(tmp_path / "config.json")
    assert config.init_from == ""
