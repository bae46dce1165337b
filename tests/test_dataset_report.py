"""`report_dataset`: every file it promises, on drawn copies and on the real tables."""

import csv
import json
from pathlib import Path

import pytest
from kaggle_fixture import write_copy

from mgajax.dataset_report import report_dataset
from mgajax.errors import ConfigError, DataError


def test_drawn_copy_is_described(tmp_path: Path) -> None:
    copy = write_copy(tmp_path / "copy")
    split = tmp_path / "split.csv"
    split.write_text("Patient ID,split\nstudy_id_1,train\nP001,test\n")
    out = tmp_path / "out"
    got = report_dataset(copy, out=out, split=split)
    assert {path.name for path in got.files} == {
        "card.html",
        "card.md",
        "figure3.png",
        "figure4.png",
        "figure4_trusted.png",
        "statistics.json",
        "table1.csv",
        "table2.csv",
    }
    summary = json.loads((out / "statistics.json").read_text())
    assert (summary["slices"], summary["people"]) == (got.slices, got.patients)
    assert summary["table2"]["train"] == {"Normal": 2, "COVID-19": 0, "CAP": 0}
    assert summary["differences_from_paper"] is None
    with (out / "table1.csv").open(newline="") as file:
        rows = {row["source"]: row for row in csv.DictReader(file)}
    assert rows["morozov"]["Normal slices"] == "8"
    assert rows["all"]["masks"] == "4"
    card = (out / "card.md").read_text()
    assert "| test | 2 | 0 | 0 | 2 |" in card
    assert "the paper's Table 2" not in card


def test_tables_alone_are_enough(tmp_path: Path) -> None:
    copy = write_copy(tmp_path / "copy")
    tables = tmp_path / "tables"
    tables.mkdir()
    for path in copy.glob("meta_data_*.csv"):
        (tables / path.name).write_bytes(path.read_bytes())
    got = report_dataset(tables, out=tmp_path / "out")
    names = {path.name for path in got.files}
    assert "figure3.png" not in names
    assert "table2.csv" not in names
    assert "No masks lie beside these tables" in (tmp_path / "out" / "card.md").read_text()


def test_what_cannot_be_described_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--dataset .*absent: no such folder"):
        report_dataset(tmp_path / "absent", out=tmp_path / "out")
    copy = write_copy(tmp_path / "copy")
    split = tmp_path / "split.csv"
    split.write_text("Patient ID,split\nsomebody,train\n")
    with pytest.raises(DataError, match=r"split.csv: names none of the \d+ slices"):
        report_dataset(copy, out=tmp_path / "out", split=split)
    assert not (tmp_path / "out").exists()


def test_real_tables_give_the_papers_numbers(shared: Path, tmp_path: Path) -> None:
    real = shared / "realdata"
    report_dataset(real / "metadata", out=tmp_path, split=real / "table2_split_example.csv")
    card = (tmp_path / "card.md").read_text()
    assert card.startswith("# 17,104 CT slices of 1,118 people")
    assert "Every count is the paper's Table 2." in card
    assert "| train | 5,563 | 4,643 | 1,773 | 11,979 |" in card
    assert "jun COVID-19 cases 18 here, 20 in the paper" in card
    assert "Countries: 13 (paper: 13)" in card
