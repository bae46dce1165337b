"""`report_dataset`: every file it promises, on drawn copies and on the real tables."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from kaggle_fixture import write_copy
from unchecked import unchecked
from unrendered import leave_blank

from mgajax.data.table import read_table
from mgajax.errors import ConfigError, DataError
from mgajax.reporting.dataset_report import report_dataset
from mgajax.schema import SPLITS


@pytest.fixture
def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are drawn, not rendered: the first test renders each."""
    leave_blank(monkeypatch)


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
    assert "without invented ones" in card


def test_tables_alone_are_enough(unrendered, tmp_path: Path) -> None:
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


def test_built_set_is_described_with_its_own_splits(
    unrendered, phantom: Path, tmp_path: Path
) -> None:
    got = report_dataset(phantom.parent, out=tmp_path)
    table = read_table(phantom)
    names = {path.name for path in got.files}
    assert {"figure3.png", "figure4.png", "table2.csv"} <= names
    assert "figure4_trusted.png" not in names, "a built set has no invented ages"
    summary = json.loads((tmp_path / "statistics.json").read_text())
    assert (summary["slices"], summary["people"]) == (72, len(set(table.patients)))
    assert {split: sum(counts.values()) for split, counts in summary["table2"].items()} == {
        split: int((table.built_split == code).sum()) for code, split in enumerate(SPLITS)
    }
    for number, row in enumerate(summary["table1"]):
        members = table.sources == row["source"] if row["source"] != "all" else np.full(72, True)
        counts = [int((table.labels[members] == label).sum()) for label in range(3)]
        assert row["slices"] == counts, number
        assert row["masked"] == int((table.mask_origins[members] == "annotated").sum())
    card = (tmp_path / "card.md").read_text()
    assert "Cases are people" in card
    assert "Countries: unknown (paper: 13)" in card
    assert "invented" not in card
    assert "report or caption" not in card, "a built set keeps no reports"


def test_the_splits_of_a_built_set_give_way_to_a_given_one(
    unrendered, phantom: Path, tmp_path: Path
) -> None:
    patient = read_table(phantom).patients[0]
    split = tmp_path / "split.csv"
    split.write_text(f"patient,split\n{patient},test\n")
    report_dataset(phantom, out=tmp_path / "out", split=split)
    summary = json.loads((tmp_path / "out" / "statistics.json").read_text())
    assert sum(summary["table2"]["test"].values()) == 3
    assert sum(summary["table2"]["unused"].values()) == 69


def test_what_cannot_be_described_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--data .*absent: no such folder"):
        report_dataset(tmp_path / "absent", out=tmp_path / "out")
    copy = write_copy(tmp_path / "copy")
    split = tmp_path / "split.csv"
    split.write_text("Patient ID,split\nsomebody,train\n")
    with pytest.raises(DataError, match=r"split.csv: names none of the \d+ slices"):
        report_dataset(copy, out=tmp_path / "out", split=split)
    assert not (tmp_path / "out").exists()


def test_real_tables_give_the_papers_numbers(unrendered, shared: Path, tmp_path: Path) -> None:
    real = shared / "realdata"
    with unchecked():
        report_dataset(real / "metadata", out=tmp_path, split=real / "table2_split_example.csv")
    card = (tmp_path / "card.md").read_text()
    assert card.startswith("# 17,104 CT slices of 1,113 people")
    assert "Every count is the paper's Table 2." in card
    assert "| train | 5,563 | 4,643 | 1,773 | 11,979 |" in card
    assert "jun COVID-19 cases 18 here, 20 in the paper" in card
    assert "Countries: 13 (paper: 13)" in card


def test_masks_of_other_classes_do_not_count_for_covid(
    unrendered, phantom: Path, tmp_path: Path
) -> None:
    report_dataset(phantom, out=tmp_path)
    card = (tmp_path / "card.md").read_text()
    assert "| all | 72 | 27 | 100% |" in card, "drawn slices of every class have a mask"
