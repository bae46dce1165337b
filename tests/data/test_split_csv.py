"""`split.csv`: round trip, and a clear error for everything a hand-edited file can get wrong."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_columns import columns, drawn_columns

from mgajax.data.splits import Split, split_from_csv, stratified_split, write_split_csv
from mgajax.data.table import SliceTable
from mgajax.errors import DataError, LeakageError

TABLE = drawn_columns(0, patients=12)


def read(path: Path, table: SliceTable = TABLE) -> Split:
    return split_from_csv(path, table=table)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    split = stratified_split(TABLE, seed=1)
    path = tmp_path / "run" / "split.csv"
    write_split_csv(path, table=TABLE, split=split)
    return path


def edit(path: Path, pattern: str, replacement: str, *, count: int = 1) -> None:
    text, matches = re.subn(pattern, replacement, path.read_text(), count=count, flags=re.MULTILINE)
    assert matches
    path.write_text(text)


def test_round_trip_keeps_every_row(written: Path):
    split = stratified_split(TABLE, seed=1)
    np.testing.assert_array_equal(read(written).assignment, split.assignment)
    assert not read(written).notes


def test_left_out_rows_and_awkward_names_round_trip(tmp_path: Path):
    table = replace(
        columns([(1, "zhao", "one"), (1, "zhao", "two"), (0, "jun", "three")]),
        patients=np.array(["zhao/Zhao_Patient 1", 'zhao/"quoted", comma', "jun/\xa074724"]),
        file_names=np.array(["a%20b-21%0.png", 'c,"d".png', "é.png"]),
    )
    split = Split("mine", np.array([0, -1, 2], np.int8))
    path = tmp_path / "split.csv"
    write_split_csv(path, table=table, split=split)
    np.testing.assert_array_equal(read(path, table).assignment, [0, -1, 2])


def test_two_columns_in_any_order_with_a_byte_order_mark_are_enough(written: Path):
    rows = ["split,file_name", *(f"train,{name}" for name in reversed(TABLE.file_names.tolist()))]
    written.write_text("\ufeff" + "\r\n".join(rows), encoding="utf-8")
    assert (read(written).assignment == 0).all()


def test_slices_that_are_not_listed_are_unused_and_counted(written: Path):
    edit(written, r"^slice_(3|5)\.png,.*\n", "", count=2)
    split = read(written)
    np.testing.assert_array_equal(split.indices("unused"), [3, 5])
    assert split.notes == ("2 slices of the data set are not in split.csv: unused",)


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        ("^file_name,", "file,", "column 'file_name' is missing"),
        (",split$", ",part", "column 'split' is missing"),
        (r"^slice_4\.png", "slice_x.png", "line 6: file_name 'slice_x.png' is not in the data set"),
        (r"^slice_4\.png", "slice_0.png", "'slice_0.png' stands in line 2 too"),
        (r"^(slice_4\.png.*),\w+$", r"\1,val", "line 6: unknown split 'val'.*validation"),
        (r"^(slice_4\.png),[^,]+", r"\1,Flu", "line 6: label 'Flu' differs"),
    ],
)
def test_each_damage_is_named_with_its_line(
    written: Path, pattern: str, replacement: str, message: str
):
    edit(written, pattern, replacement)
    with pytest.raises(DataError, match=message):
        read(written)


def test_a_patient_in_two_splits_is_leakage(written: Path):
    split = read(written)
    row = int(split.indices("train")[0])
    patient = TABLE.patients[row]
    assert (TABLE.patients == patient).sum() > 1
    edit(written, rf"^(slice_{row}\.png.*),train$", r"\1,test")
    with pytest.raises(LeakageError, match=f"patient '{patient}' is in train and test"):
        read(written)


def test_the_files_own_patient_column_is_checked_too(written: Path):
    split = read(written)
    for part in ("train", "test"):
        row = int(split.indices(part)[0])
        edit(written, rf"^(slice_{row}\.png,[^,]+),[^,]+", r"\1,one person")
    with pytest.raises(LeakageError, match="'one person' is in train and test"):
        read(written)


def test_patients_of_the_data_set_count_even_when_the_file_names_others(written: Path):
    rows = [f"slice_{n}.png,person {n},{'train' if n % 2 else 'test'}" for n in range(60)]
    written.write_text("\n".join(["file_name,patient,split", *rows]))
    with pytest.raises(LeakageError, match=r"patient '\w+/\d+' is in train and test"):
        read(written)


def test_files_that_cannot_be_read_are_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"absent\.csv: cannot read"):
        read(tmp_path / "absent.csv")
    (tmp_path / "latin.csv").write_bytes(b"file_name,split\n\xe9.png,train\n")
    with pytest.raises(DataError, match="not UTF-8"):
        read(tmp_path / "latin.csv")
    (tmp_path / "image.csv").write_bytes(b"file_name,split\n" + b"x" * 200_000 + b",train\n")
    with pytest.raises(DataError, match="not a CSV file"):
        read(tmp_path / "image.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(DataError, match="column 'file_name' is missing"):
        read(tmp_path / "empty.csv")


def test_a_data_set_with_repeated_file_names_is_refused(written: Path):
    table = replace(TABLE, file_names=np.full(len(TABLE.labels), "same.png"))
    with pytest.raises(DataError, match="file names of the data set repeat"):
        read(written, table)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    written: Path, monkeypatch: pytest.MonkeyPatch
):
    before = written.read_bytes()

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    split = stratified_split(TABLE, seed=2)
    with pytest.raises(DataError, match=r"split\.csv: cannot write the split \(No space left"):
        write_split_csv(written, table=TABLE, split=split)
    assert written.read_bytes() == before
    assert [path.name for path in written.parent.iterdir()] == ["split.csv"]


def test_columns_of_another_data_set_are_refused(tmp_path: Path):
    split = Split("short", np.zeros(2, np.int8))
    with pytest.raises(DataError, match="has 2 rows"):
        write_split_csv(tmp_path / "s.csv", table=TABLE, split=split)


def test_empty_rows_of_a_spreadsheet_are_skipped(written: Path):
    before = read(written)
    commas = "," * written.read_text().splitlines()[0].count(",")
    with written.open("a") as file:
        file.write(f"{commas}\n\n{commas},,\n  {commas}\n")
    np.testing.assert_array_equal(read(written).assignment, before.assignment)
