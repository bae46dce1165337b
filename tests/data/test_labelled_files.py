"""Labelled files from folders and from tables: every slip is one clear line."""

from pathlib import Path

import numpy as np
import pytest

from mgajax.data.class_words import ClassWords, read_class_words
from mgajax.data.labelled_files import files_of_folders, files_of_table
from mgajax.errors import DataError
from mgajax.imaging.pictures import encode_png

PICTURE = encode_png(np.zeros((4, 4), np.uint8))


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """Three classes, one of them empty, and stray files in the folders."""
    folder = tmp_path / "set"
    for name in ("Healthy/2.png", "Healthy/10.png", "covid/P1/a.png", "covid/notes.txt", "x.png"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"words" if name.endswith("txt") else PICTURE)
    (folder / "pneumonia").mkdir()
    (folder / ".hidden").mkdir()
    (folder / "covid" / "Thumbs.db").write_bytes(b"desktop")
    return folder


def test_folders_are_classes_and_other_files_are_reported(top: Path) -> None:
    files = files_of_folders(top, words=ClassWords())
    assert [(file.path.name, file.label) for file in files.files] == [
        ("2.png", 0),
        ("10.png", 0),
        ("a.png", 1),
    ]
    assert files.names() == ["Healthy/2.png", "Healthy/10.png", "covid/P1/a.png"]
    assert files.left_out == (f"{top / 'x.png'}: in no folder of a class",)
    assert files.notes == (
        "folder pneumonia holds no slice",
        "1 files are no picture, DICOM or NIfTI (.txt 1)",
    )


def test_a_folder_can_be_left_out(top: Path) -> None:
    files = files_of_folders(top, words=read_class_words("covid=none"))
    assert {file.label for file in files.files} == {0}
    assert "folder covid is left out" in files.notes


def test_folders_that_say_nothing(top: Path, tmp_path: Path) -> None:
    (top / "masks").mkdir()
    with pytest.raises(DataError, match="folder 'masks': which class is it"):
        files_of_folders(top, words=ClassWords())
    (tmp_path / "empty" / "covid").mkdir(parents=True)
    with pytest.raises(DataError, match="no picture, DICOM or NIfTI in covid"):
        files_of_folders(tmp_path / "empty", words=ClassWords())
    with pytest.raises(DataError, match="no folder in it"):
        files_of_folders(tmp_path / "empty" / "covid", words=ClassWords())


def table(folder: Path, *lines: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "slices.csv"
    path.write_text("\n".join(lines), encoding="utf-8-sig")
    return path


def test_a_table_with_all_its_columns(top: Path) -> None:
    path = table(
        top,
        "Patient ID;Class;File name;Source;plane",
        "A;covid;covid/P1/a.png;north;",
        ";;;;",
        "B;healthy;Healthy/2.png;;3",
    )
    files = files_of_table(path, words=ClassWords())
    assert [(file.label, file.patient, file.source, file.plane) for file in files.files] == [
        (1, "A", "north", 0),
        (0, "B", "unknown", 3),
    ]
    assert files.names() == ["covid/P1/a.png", "Healthy/2.png"]


def test_folders_and_a_table_of_the_same_files_have_the_same_names(top: Path, tmp_path) -> None:
    folders = files_of_folders(top, words=ClassWords())
    rows = [f"{file.path},{('healthy', 'covid')[file.label]}" for file in folders.files]
    path = table(tmp_path / "elsewhere", "file,label", *rows)
    assert files_of_table(path, words=ClassWords()).names() == folders.names()


def test_missing_files_are_named_and_take_no_others_with_them(top: Path) -> None:
    path = table(top, "file,label", "Healthy/2.png,normal", "gone.png,covid")
    files = files_of_table(path, words=ClassWords())
    assert len(files.files) == 1
    assert files.left_out == (f"{top / 'gone.png'}: no such file (slices.csv, line 3)",)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["file,class"], "no row below the header"),
        (["name,label", "a,b"], "column 'file' is missing"),
        (["file,who", "a,b"], "column 'label' is missing"),
        (["file,label", "a.png,covid", ",covid"], "line 3: no file"),
        (["file,label", "a.png,"], "line 2: no label"),
        (["file,label", "a.png,flu"], "label 'flu': which class is it"),
        (["file,label", "a.png,covid"], "none of its 1 files is there"),
        (["file,label", "x.png,covid", "./x.png,covid"], "line 3: './x.png' stands in line 2 too"),
        (["file,label,patient", "x.png,cap,A", "y.png,cap,"], "line 3: no patient, as in 1 of 2"),
        (["file,label,plane", "x.png,cap,0"], "line 2: plane '0', expected a number from 1"),
    ],
)
def test_tables_that_say_nothing(top: Path, lines: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        files_of_table(table(top, *lines), words=ClassWords())


def test_a_table_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "slices.csv"
    path.write_bytes("file,label\né.png,covid\n".encode("cp1252"))
    with pytest.raises(DataError, match="not UTF-8"):
        files_of_table(path, words=ClassWords())
