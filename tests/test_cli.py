"""The command line: one clear line for every mistake, a traceback only with `--debug`."""

import contextlib
import io
from pathlib import Path

import pytest

from mgajax.cli import main
from mgajax.errors import ConfigError

COMMANDS = (
    "quickstart",
    "curate",
    "audit",
    "build",
    "report",
    "train",
    "evaluate",
    "explain",
    "segment",
    "export",
    "predict",
    "benchmark",
    "experiment",
    "tune",
    "doctor",
)
EXPORT = ("--workdir", "w", "--out", "o")
PREDICT = ("--input", "i", "--out", "o")
REAL = ("--workdir", "w")
SEGMENT = ("--workdir", "w", "--data", "d", "--out", "o")
MGA = "configs/classification/mga_resnet18.py"
NARROW = Path(__file__).parent / "narrow" / "resnet18.py"
TUNE = ("--config", "configs/tuning/mga_resnet18.py", "--workdir", "w", "--config.data.dir=d")


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Exit code and the one line on stderr."""
    code = main(words)
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert "Traceback" not in lines[0]
    return code, lines[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert f"mgajax {command}" in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_completes_commands_options_and_files(shell: str, capsys) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--print-completion", shell])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert all(command in text for command in COMMANDS)
    assert "--builder_config" in text
    assert {"bash": "_shtab_compgen_files", "zsh": "_files"}[shell] in text


def test_the_top_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(command in text for command in COMMANDS)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("train", "--config", MGA, "--workdir", "w"), "data.dir is empty"),
        (("train", "--config", MGA, "--workdir", "w", "--config.lr=1"), "unknown key --config.lr"),
        (("train", "--config", MGA, "--workdir", "w", "--lr=1"), "unknown argument '--lr=1'"),
        (("train", "--config", MGA, "--workdir", "w", "--config.seed", "1"), "in one word"),
        (("train", "--config", "none.py", "--workdir", "w"), "no such file"),
        (("build", "covid_slices"), "covid_ct_slices"),
        (("build", "covid_ct_slices"), "manual_dir"),
        (("build", "ct_phantom", "--option", "shortcut"), "write KEY=VALUE"),
        (("build", "ct_phantom", "--option", "shortcuts=1"), "shortcut"),
        (("evaluate", "--workdir", "nowhere"), "nowhere"),
        (("explain", "--workdir", "nowhere", "--out", "o"), "nowhere"),
        (
            ("explain", "--workdir", "w", "--out", "o", "--target", "flu"),
            "--target flu: valid: predicted",
        ),
        (("report", "--out", "o"), "give one of --workdir, --data and --readme"),
        (("report", "--workdir", "nowhere", "--out", "o"), "--workdir nowhere: no such folder"),
        (("report", "--workdir", "nowhere"), "--out is missing"),
        (("tune", "--config", MGA, "--workdir", "w", "--trials", "3"), "config.search.space"),
        (("tune", *TUNE, "--trials", "0"), "--trials 0: expected at least 1"),
        (("tune", *TUNE, "--trials", "3", "--config.search.goal=best"), "minimise or maximise"),
        (("segment", "--workdir", "nowhere", "--data", "d", "--out", "o"), "nowhere"),
        (("segment", *SEGMENT, "--scales", "half"), "--scales half: write numbers"),
        (("export", "--workdir", "nowhere", "--out", "o"), "nowhere"),
        (("export", *EXPORT, "--format", "onx"), "--format onx: did you mean 'onnx'?"),
        (
            ("export", *EXPORT, "--out", "o.pt", "--format", "orbax"),
            "o.pt is a file of format torch",
        ),
        (("experiment", "table4", *REAL, "--folds", "3"), "--folds 3: an option of `mgajax"),
        (("experiment", "real", *REAL, "--data", "d"), "--data d: real takes downloads"),
        (("experiment", "real", *REAL, "--budget", "medium"), "--budget medium: "),
        (("predict", *PREDICT), "give --classifier RUN"),
        (("predict", *PREDICT, "--classifier", "nowhere"), "nowhere"),
        (("predict", *PREDICT, "--window", "lungs"), "did you mean 'lung'?"),
        (("predict", *PREDICT, "--attribution", "guess"), "--attribution guess: expected"),
    ],
)
def test_mistakes_are_one_line_and_a_code(
    words, expected: str, capsys, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, line = told(capsys, *words)
    assert code == 2
    assert line.startswith(f"mgajax {words[0]}: ")
    assert expected in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [("--config.data.dir={}",), ("--data", "{}")])
def test_an_empty_folder_is_no_data_set(words: tuple[str, ...], capsys, tmp_path: Path) -> None:
    command = ("train", "--config", MGA, "--workdir", str(tmp_path / "w"))
    code, line = told(capsys, *command, *(word.format(tmp_path) for word in words))
    assert code == 1
    assert str(tmp_path) in line


def test_an_empty_download_folder_is_reported(capsys, tmp_path: Path) -> None:
    (tmp_path / "manual").mkdir()
    words = ["build", "covid_ct_slices", "--manual_dir", str(tmp_path / "manual")]
    assert main([*words, "--data_dir", str(tmp_path / "data")]) == 1
    assert "curated_data" in capsys.readouterr().err


def test_ctrl_c_is_one_line(capsys, monkeypatch, tmp_path: Path) -> None:
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("mgajax.evaluation.other_set.evaluate_data", interrupted)
    code, line = told(capsys, "evaluate", "--workdir", str(tmp_path))
    assert (code, line) == (130, "mgajax evaluate: interrupted")


def test_a_fault_is_one_line(capsys, monkeypatch, tmp_path: Path) -> None:
    def faulty(*_, **__):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("mgajax.evaluation.other_set.evaluate_data", faulty)
    code, line = told(capsys, "evaluate", "--workdir", str(tmp_path))
    assert code == 1
    assert "a fault of mgajax (RuntimeError: two lines); --debug shows where" in line


def test_debug_gives_the_traceback(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        main(["evaluate", "--workdir", str(tmp_path), "--debug"])


def test_train_and_evaluate_from_the_command_line(phantom: Path, tmp_path: Path, capsys) -> None:
    workdir = str(tmp_path / "run")
    keys = {"preparation.image_size": 32, "batch_size": 8, "eval_batch_size": 8, "max_steps": 2}
    keys |= {"devices": 2, "data.dir": phantom}
    words = ["train", "--config", str(NARROW), "--workdir", workdir]
    assert main([*words, *(f"--config.{key}={value}" for key, value in keys.items())]) == 0
    assert "2 steps, ended by max_steps" in capsys.readouterr().out
    assert main(["evaluate", "--workdir", workdir, "--split", "validation"]) == 0
    out = capsys.readouterr().out
    assert "resnet18, validation split" in out
    assert "attention" not in out


def test_a_console_that_lacks_a_letter_is_no_end(tmp_path: Path) -> None:
    """As of Windows' shells, with an error that names a folder in Cyrillic."""
    console = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    with contextlib.redirect_stderr(console):
        assert main(["evaluate", "--workdir", str(tmp_path / "Иванов")]) != 0
    console.seek(0)
    assert "\\u0418\\u0432" in console.read()
