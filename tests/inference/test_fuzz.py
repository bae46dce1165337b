"""Files with random changed bytes: at most one line each, and the good scan's result is unchanged."""

import csv
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from drawn_scans import AXIAL, Predict, drawn, grid, series_affine, write_series
from PIL import Image

SIDE, FILES = 32, 110
AFFINE = series_affine(AXIAL, spacing=(2.5, 2.5), step=(0, 0, -4))
VALUES, _ = drawn(grid(AFFINE, (SIDE, SIDE, 3)), centre=(-25, -35, 96), radius=7.0)

Change = Callable[[bytes, np.random.Generator], bytes]


def flipped(content: bytes, random: np.random.Generator, *, first: int = 0) -> bytes:
    """Up to eight bytes replaced, most of them early, where headers are."""
    changed = bytearray(content)
    for _ in range(int(random.integers(1, 9))):
        end = len(changed) if random.random() < 0.3 else min(len(changed), first + 1200)
        changed[int(random.integers(first, end))] = int(random.integers(256))
    return bytes(changed)


def cut(content: bytes, random: np.random.Generator) -> bytes:
    return content[: int(random.integers(len(content)))]


def swollen(content: bytes, random: np.random.Generator) -> bytes:
    """Some bytes put in, so that all after them lie elsewhere."""
    at = int(random.integers(len(content)))
    return content[:at] + random.bytes(int(random.integers(1, 40))) + content[at:]


def mutated(content: bytes, random: np.random.Generator, *, first: int = 0) -> bytes:
    kind = random.random()
    if kind < 0.7:
        return flipped(content, random, first=first)
    return cut(content, random) if kind < 0.85 else swollen(content, random)


def dicom(folder: Path, random: np.random.Generator) -> None:
    for number, path in enumerate(write_series(folder, VALUES, AFFINE, patient="mutant")):
        content = path.read_bytes()
        path.unlink()
        for copy in range(FILES // 3 + 1):
            name = folder / f"{number}_{copy}{random.choice(['.dcm', ''])}"
            name.write_bytes(mutated(content, random, first=int(random.choice([0, 132]))))


def nifti(folder: Path, random: np.random.Generator) -> None:
    contents = []
    for name in ("a.nii", "a.nii.gz"):
        nib.save(nib.Nifti1Image(VALUES, AFFINE), folder / name)
        contents.append(((folder / name).read_bytes(), name[1:]))
        (folder / name).unlink()
    for number in range(FILES):
        content, suffix = contents[number % len(contents)]
        changed = bytearray(mutated(content, random))
        if suffix == ".nii" and number % 3 == 0:  # the geometry alone
            at = int(random.integers(76, 328))
            changed = bytearray(content)
            changed[at : at + 4] = random.bytes(4)
        (folder / f"{number}{suffix}").write_bytes(changed)


def pictures(folder: Path, random: np.random.Generator) -> None:
    Image.fromarray(random.integers(0, 256, (24, 30), np.uint8)).save(folder / "a.png")
    Image.fromarray(random.integers(0, 256, (24, 30, 3), np.uint8)).save(folder / "a.jpg")
    contents = {path.suffix: path.read_bytes() for path in folder.iterdir()}
    for path in list(folder.iterdir()):
        path.unlink()
    for number in range(FILES):
        suffix = random.choice(list(contents))
        (folder / f"{number}{suffix}").write_bytes(mutated(contents[suffix], random))


def lists(folder: Path, random: np.random.Generator) -> None:
    Image.fromarray(np.full((24, 30), 90, np.uint8)).save(folder / "a.png")
    content = b"a.png\tfirst\n./a.png\nabsent.png\tsecond\n\xef\xbb\xbf\n../good\n"
    for number in range(FILES):
        (folder / f"{number}.txt").write_bytes(mutated(content, random))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["patient"] == "good"]


@pytest.mark.parametrize("write", [dicom, nifti, pictures, lists])
@pytest.mark.filterwarnings("ignore")  # the libraries', of what is damaged
def test_no_mutant_stops_the_good_scan(run: Predict, tmp_path: Path, write) -> None:
    good = tmp_path / "good"
    write_series(good, VALUES, AFFINE, patient="good")
    run(good, out="alone")
    folder = tmp_path / "mutants"
    folder.mkdir()
    write(folder, np.random.default_rng(20))
    inputs = sorted(folder.glob("*.txt")) if write is lists else [folder]
    result = run(good, *inputs, out="together")
    expected = rows(tmp_path / "alone" / "slices.csv")
    assert rows(tmp_path / "together" / "slices.csv") == expected
    assert len(expected) == VALUES.shape[2]
    assert (tmp_path / "together" / "index.html").exists()
    assert len(list(folder.iterdir())) >= FILES
    assert result.problems
    assert not [problem for problem in result.problems if "\n" in problem.text]
