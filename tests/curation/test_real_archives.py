"""Real archives, where they lie beside the checkout: slices equal those of the published set."""

import csv
from pathlib import Path

import numpy as np
import pytest

from mgajax.curation.archives import READERS
from mgajax.curation.archives.archive import RawSlice, ReadOptions
from mgajax.curation.archives.packed import list_files
from mgajax.curation.curate import curate
from mgajax.curation.findings import Findings
from mgajax.curation.kaggle_layout import CLASS_FOLDERS
from mgajax.imaging.pictures import decode_picture
from mgajax.schema import CLASS_NAMES


@pytest.fixture(scope="module")
def pack(shared: Path) -> Path:
    """The folder of real slices and raw archives."""
    folder = shared / "realdata" / "pack_dev"
    if not folder.is_dir():
        pytest.skip("no real data beside the checkout")
    return folder


@pytest.fixture(scope="module")
def curated(pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The raw archives curated as published."""
    out = tmp_path_factory.mktemp("curated")
    curate(pack / "raw", out=out, sources=("zhao", "afshar", "cohen"))
    return out


def slices_of(pack: Path, source: str, **options: object) -> list[RawSlice]:
    findings = Findings()
    files = list_files(pack / "raw", findings=findings)
    units = READERS[source](files, options=ReadOptions(**options), findings=findings)
    return [slice_ for unit in units for slice_ in unit.read(findings)]


def published(pack: Path, rows: list[dict[str, str]]) -> dict[str, Path]:
    """Published picture of each catalogued slice that the pack has."""
    places = {row["file_name"]: pack / row["picture"] for row in rows}
    return {name: path for name, path in places.items() if path.is_file()}


def catalogue(out: Path) -> list[dict[str, str]]:
    with (out / "catalogue.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("source", "least"), [("afshar", 3), ("cohen", 6), ("zhao", 4)])
def test_pixels_and_classes_are_the_published_ones(
    pack: Path, curated: Path, source: str, least: int
) -> None:
    """`least` slices are in both: the pack keeps a part of every archive's pictures."""
    rows = [row for row in catalogue(curated) if row["source"] == source]
    paths = published(pack, rows)
    assert len(paths) >= least
    for row in rows:
        if row["file_name"] in paths:
            path = paths[row["file_name"]]
            ours = (curated / row["picture"]).read_bytes()
            theirs = path.read_bytes()
            if source == "zhao":
                assert ours == theirs
            np.testing.assert_array_equal(
                decode_picture(ours, name="ours").pixels, decode_picture(theirs, name="").pixels
            )
            assert CLASS_FOLDERS[CLASS_NAMES.index(row["class_name"])] == path.parent.name


def test_patients_are_the_published_ones(pack: Path, curated: Path) -> None:
    """Id, age, sex and country of every slice that the published tables list."""
    theirs = {}
    for name in ("normal", "covid", "cap"):
        text = (pack / f"meta_data_{name}.csv").read_bytes().decode("cp1252")
        theirs |= {row["File name"]: row for row in csv.DictReader(text.splitlines())}
    ours = [row for row in catalogue(curated) if row["file_name"] in theirs]
    assert len(ours) >= 13
    for row in ours:
        other = theirs[row["file_name"]]
        assert row["patient_id"] == other["Patient ID"].strip()
        for key, column in (("age", "Age"), ("gender", "Gender"), ("country", "Country")):
            assert row[key] == other[column].replace("-", ""), row["file_name"]


def test_every_afshar_slice_bears_its_published_name(pack: Path) -> None:
    """All slices of all series, named by rank: their own file names say the same rank."""
    names = {"N001": "normal001", "P001": "P001", "cp001": "cap001"}
    labels = {
        f"{patient}_{path.stem.rpartition('_')[2]}.png": True
        for patient, folder in names.items()
        for path in (pack / "raw").rglob(f"{folder}/*.dcm")
    }
    slices = slices_of(pack, "afshar", labels=labels)
    assert {slice_.file_name for slice_ in slices} == set(labels)
    compared = 0
    for slice_ in slices:
        path = pack / "curated_data" / CLASS_FOLDERS[slice_.label] / slice_.file_name
        if path.is_file():
            low, high = int(slice_.values.min()), int(slice_.values.max())
            mine = np.rint((slice_.values - low) * (255.0 / (high - low)))
            np.testing.assert_array_equal(mine, decode_picture(path.read_bytes(), name="").pixels)
            compared += 1
    assert compared >= 3
