"""Folders are walked through as they stand, links too, and names stay apart and short."""

import os
from pathlib import Path

import pytest

from mgajax.folders import LONGEST_NAME, distinct_names, is_clutter, safe_name, walk


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def found(folder: Path) -> list[str]:
    refused: list[OSError] = []
    paths = [str(path.relative_to(folder)) for path in walk(folder, refused=refused.append)]
    assert not refused
    return paths


def test_numbers_are_ordered_as_numbers_and_clutter_is_skipped(tmp_path: Path) -> None:
    names = ("slice_10.png", "slice_9.png", ".DS_Store", "._slice_9.png", "Thumbs.db")
    touch(*(tmp_path / "a" / name for name in names), tmp_path / "__MACOSX" / "x.png")
    touch(tmp_path / "desktop.ini", tmp_path / "a²" / "1.png")
    assert found(tmp_path) == ["a/slice_9.png", "a/slice_10.png", "a²/1.png"]
    assert is_clutter("DESKTOP.INI")
    assert not is_clutter("desktop.ini.png")


def test_linked_folders_are_walked_through_under_their_own_path(tmp_path: Path) -> None:
    touch(tmp_path / "store" / "1.png")
    for patient in ("p1", "p2"):
        (tmp_path / "in" / patient).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / patient).symlink_to(tmp_path / "store")
    assert found(tmp_path / "in") == ["p1/1.png", "p2/1.png"]


def test_links_that_lead_back_end(tmp_path: Path) -> None:
    touch(tmp_path / "in" / "a" / "1.png")
    (tmp_path / "in" / "a" / "up").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "a" / "self").symlink_to(tmp_path / "in" / "a" / "self")
    assert found(tmp_path / "in") == ["a/1.png", "a/self"]


def test_a_folder_without_rights_is_reported_and_the_rest_is_listed(
    tmp_path: Path, monkeypatch
) -> None:
    touch(tmp_path / "a" / "1.png", tmp_path / "b" / "1.png")
    scandir = os.scandir

    def refusing(path: Path):
        if path.name == "a":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    refused: list[OSError] = []
    assert [path.parent.name for path in walk(tmp_path, refused=refused.append)] == ["b"]
    assert [error.filename for error in refused] == [str(tmp_path / "a")]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["x/ct", "y/ct", "y/pt"], ["x/ct", "y/ct", "pt"]),
        (["a/x/ct", "b/x/ct"], ["a/x/ct", "b/x/ct"]),
        (["x/ct", "x/ct"], ["ct", "ct"]),
        (["ct", "x/ct"], ["ct", "x/ct"]),
    ],
)
def test_names_are_as_long_as_tells_them_apart(paths: list[str], names: list[str]) -> None:
    assert distinct_names([Path(path) for path in paths]) == names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Иванов 7/a", "Иванов_7_a"),
        ("../..", "unnamed"),
        ("\udcb2\udce2 x", "x"),
        ("é", "é"),
    ],
)
def test_safe_names(text: str, name: str) -> None:
    assert safe_name(text) == name


def test_safe_names_are_short_in_bytes() -> None:
    name = safe_name("病" * 300)
    assert LONGEST_NAME - 3 < len(name.encode()) <= LONGEST_NAME
