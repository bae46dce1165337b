"""`mgajax export`: what it writes, that it compares, and that nothing half-done stays."""

import contextlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_runs import without_figures

from mgajax.cli import main
from mgajax.evaluation.evaluate import evaluate_run
from mgajax.interop import safetensors_file
from mgajax.interop.formats import FORMATS
from mgajax.interop.network import Network
from mgajax.training.init_from import REPORT_FILE

pytest.importorskip("safetensors")


def export(workdir: Path, out: Path, *words: str) -> int:
    return main(["export", "--workdir", str(workdir), "--out", str(out), *words])


@pytest.fixture(scope="module")
def evaluated(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished run, evaluated."""
    workdir = tmp_path_factory.mktemp("runs") / "evaluated"
    shutil.copytree(trained, workdir)
    with without_figures():
        evaluate_run(workdir)
    return workdir


@pytest.fixture(scope="module")
def exported(evaluated: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The run exported in every installed format, and the command's output."""
    out = tmp_path_factory.mktemp("exported") / "out"
    with contextlib.redirect_stdout(io.StringIO()) as output:
        assert export(evaluated, out) == 0
    return out, output.getvalue()


def test_a_folder_with_every_installed_format_and_a_card(exported: tuple[Path, str]) -> None:
    out, output = exported
    installed = [form for form in FORMATS.values() if not form.missing]
    names = {f"mga_resnet18{suffix}" for suffix in (".json", ".md", *(o.suffix for o in installed))}
    assert {path.name for path in out.iterdir()} == names
    assert "on 8 slices of the run's data set" in output
    assert ("left out: torch" in output) == bool(FORMATS["torch"].missing)
    described = json.loads((out / "mga_resnet18.json").read_text())
    assert described["class_names"] == ["Normal", "COVID-19", "CAP"]
    assert described["preparation"]["image_size"] == described["input"]["shape"][1] == 32
    assert described["preparation"]["background"] == "remove"
    assert "Research use only" in described["notice"]
    card = (out / "mga_resnet18.md").read_text()
    assert "Research use only. Not a medical device." in card
    assert described["training"]["split_sha256"] in card
    assert "95% intervals over patients" in card
    assert "### " not in card
    assert str(out.parent) not in card


def test_one_file_by_its_name_without_data(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The data set need not be there: drawn slices take its place."""
    workdir = tmp_path / "run"
    shutil.copytree(trained, workdir)
    content = json.loads((workdir / "config.json").read_text())
    content["config"]["data"]["dir"] = str(tmp_path / "gone")
    (workdir / "config.json").write_text(json.dumps(content))
    assert export(workdir, tmp_path / "weights.safetensors") == 0
    assert "8 drawn slices" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {
        "weights.safetensors",
        "weights.json",
        "weights.md",
    }
    assert "Not evaluated" in (tmp_path / "weights.md").read_text()


def test_a_file_that_differs_fails_and_leaves_nothing(
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = safetensors_file.write

    def write_other(network: Network, path: Path) -> None:
        kernel = network.variables["params"]["head"]["kernel"] * np.float32(1.001)
        head = network.variables["params"]["head"] | {"kernel": kernel}
        params: dict[str, Any] = network.variables["params"] | {"head": head}
        other = Network(
            network.name,
            network.options,
            network.num_classes,
            network.image_size,
            network.channels,
            {**network.variables, "params": params},
            network.metadata,
        )
        write(other, path)

    broken = FORMATS["safetensors"].__class__(
        **{**FORMATS["safetensors"].__dict__, "write": write_other}
    )
    monkeypatch.setitem(FORMATS, "safetensors", broken)
    out = tmp_path / "out"
    out.mkdir()
    (out / "mga_resnet18.safetensors").write_bytes(b"of yesterday")
    assert export(trained, out, "--format", "orbax,safetensors") == 1
    errors = capsys.readouterr().err.strip().splitlines()[-1]
    assert "safetensors: the file's answer differs from the checkpoint's" in errors
    assert [path.name for path in out.iterdir()] == ["mga_resnet18.safetensors"]
    assert (out / "mga_resnet18.safetensors").read_bytes() == b"of yesterday"


def test_a_second_export_replaces_the_first(
    trained: Path, exported: tuple[Path, str], tmp_path: Path
) -> None:
    out = Path(shutil.copytree(exported[0], tmp_path / "out"))
    (out / "mga_resnet18.orbax" / "of yesterday").touch()
    names = sorted(path.name for path in out.iterdir())
    assert export(trained, out, "--format", "orbax") == 0
    assert sorted(path.name for path in out.iterdir()) == names
    assert not (out / "mga_resnet18.orbax" / "of yesterday").exists()
    assert "Not evaluated" in (out / "mga_resnet18.md").read_text(), "of this export"


def test_a_package_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert export(tmp_path, tmp_path / "out", "--format", "onnx") == 2
    errors = capsys.readouterr().err
    assert "onnx and onnxruntime: pip install 'mgajax[export]'" in errors


def test_a_run_starts_from_an_export(
    exported: tuple[Path, str], tmp_path: Path, small_config
) -> None:
    """The whole way: run → safetensors → first state of another run, of a network without guidance."""
    from mgajax.training.run import open_run

    start = exported[0] / "mga_resnet18.safetensors"
    config = small_config(f"--config.init_from={start}")
    run = open_run(config, workdir=tmp_path / "run")
    state = run.first_state()
    weights = FORMATS["safetensors"]
    assert weights.suffix == ".safetensors"
    account = (tmp_path / "run" / REPORT_FILE).read_text()
    assert "left as drawn" not in account
    from safetensors.numpy import load_file

    stored = load_file(start)
    kernel = np.asarray(state.params["model"]["stem"]["conv"]["kernel"])
    np.testing.assert_array_equal(kernel, stored["params/stem/conv/kernel"])
