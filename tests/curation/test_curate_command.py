"""`mgajax curate` as it is typed."""

import argparse
from pathlib import Path

import pytest
from drawn_archives import afshar_labels, afshar_patient, series

from mgajax.curation import command
from mgajax.errors import ConfigError


def run(*words: str) -> None:
    """Parse and run the command as the command line does."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()

    def add_command(commands, name: str, run, *, text: str, epilog: str):
        added = commands.add_parser(name, description=text, epilog=epilog)
        added.set_defaults(run=run)
        return added

    command.add_curate(commands, add_command)
    arguments = parser.parse_args(["curate", *words])
    arguments.run(arguments, [])


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    afshar_patient(tmp_path / "raw" / "Cap cases" / "cap001", series(3))
    afshar_labels(tmp_path / "raw", [("CAP", "cap001", (0, 1))])
    return tmp_path / "raw"


def test_it_says_what_was_written(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ("--raw", str(raw), "--out", str(out), "--workers", "1")
    run(*words, "--sources", "afshar", "--window=-600/1500", "--orientation", "upright")
    printed = capsys.readouterr().out
    assert "2  CAP/afshar" in printed
    assert "2  slices of 1 patients" in printed
    assert (out / "catalogue.csv").is_file()
    with pytest.raises(ConfigError, match="made with window"):
        run(*words)


def test_labels_are_read(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("file_name,label,keep\ncp001_1.png,CAP,no\n")
    run("--raw", str(raw), "--out", str(tmp_path / "out"), "--labels", str(labels))
    assert "1  CAP/afshar" in capsys.readouterr().out


def test_a_missing_decoder_is_named(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "NEEDS", ("pydicom", "no_such_decoder"))
    with pytest.raises(
        ConfigError, match=r"needs no_such_decoder: pip install 'mgajax\[curation\]'"
    ):
        run("--raw", str(raw), "--out", str(tmp_path / "out"))
