"""`mgajax curate` from the command line."""

import argparse
from pathlib import Path

import pytest
from drawn_archives import afshar_labels, afshar_patient, series

from mgajax.cli import curate, main
from mgajax.errors import ConfigError
from mgajax.reporting import dataset_report

described: list[Path] = []
"""The folders of which a card was asked for."""


def run(*words: str) -> None:
    """Parse and run the command as the command line does, all but the card, which takes longest."""
    described.clear()
    parser = argparse.ArgumentParser()
    curate.add_curate(parser.add_subparsers())
    arguments = parser.parse_args(["curate", *words])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            dataset_report, "report_dataset", lambda folder, out: described.append(folder)
        )
        arguments.run(arguments, [])


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    afshar_patient(tmp_path / "raw" / "Cap cases" / "cap001", series(3))
    afshar_labels(tmp_path / "raw", [("CAP", "cap001", (0, 1))])
    return tmp_path / "raw"


def test_it_lists_the_written_files(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ("--raw", str(raw), "--out", str(out), "--workers", "1")
    run(*words, "--sources", "afshar", "--window=-600/1500", "--orientation", "upright")
    printed = capsys.readouterr().out
    assert "2  CAP/afshar" in printed
    assert "2  slices of 1 patients" in printed
    assert (out / "catalogue.csv").is_file()
    assert described == [out]
    with pytest.raises(ConfigError, match="made with window"):
        run(*words)


def test_the_command_line_adds_the_card(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["curate", "--raw", str(raw), "--out", str(out), "--workers", "1"]) == 0
    assert "2 CT slices of 1 people" in (out / "card" / "card.html").read_text()
    assert (out / "card" / "figure3.png").is_file()


def test_labels_are_read(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("file_name,label,keep\ncp001_1.png,CAP,no\n")
    run("--raw", str(raw), "--out", str(tmp_path / "out"), "--labels", str(labels))
    assert "1  CAP/afshar" in capsys.readouterr().out


def test_a_missing_decoder_is_named(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curate, "NEEDS", ("pydicom", "no_such_decoder"))
    with pytest.raises(
        ConfigError, match=r"not installed: no_such_decoder; pip install 'mgajax\[curation\]'"
    ):
        run("--raw", str(raw), "--out", str(tmp_path / "out"))


def test_the_lung_rule_is_set_field_by_field(raw: Path, tmp_path: Path) -> None:
    words = ("--raw", str(raw), "--out", str(tmp_path / "out"), "--workers", "1")
    run(*words, "--lung_rule", "least_of_body=0.1", "--lung_rule", "air_below=-400")
    with pytest.raises(ConfigError, match=r"made with lung_rule"):
        run(*words)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("least_of_bodies=0.1", r"--lung_rule least_of_bodies=0\.1: .*least_of_body"),
        ("least_of_body=a", "'a' is no number"),
        ("smallest_part=3", "a share lies between 0 and 1"),
    ],
)
def test_a_lung_rule_that_means_nothing_is_refused(
    raw: Path, tmp_path: Path, word: str, expected: str
) -> None:
    with pytest.raises(ConfigError, match=expected):
        run("--raw", str(raw), "--out", str(tmp_path / "out"), "--lung_rule", word)


def test_a_set_of_which_nothing_is_left_has_no_card(raw: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("file_name,label,keep\ncp001_1.png,CAP,no\ncp001_2.png,CAP,no\n")
    run("--raw", str(raw), "--out", str(tmp_path / "out"), "--labels", str(labels))
    assert described == []
