"""A downloaded copy of drawn people, clean, and the same with leaks planted in it."""

import csv
import io
from pathlib import Path

import numpy as np
from kaggle_fixture import FOLDERS, DrawnSlice, write_copy
from PIL import Image

from mgajax.schema import CLASS_NAMES
from tfds_builders.ct_phantom.slices import PhantomSettings, iter_slices

PREFIXES = ("N", "P", "cap")
"""Of file names and patient ids, by label."""

Pictures = dict[tuple[int, str], bytes]
"""Files by label and name."""


def png(pixels: np.ndarray) -> bytes:
    """A PNG file."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG")
    return file.getvalue()


def jpeg(pixels: np.ndarray, *, quality: int) -> bytes:
    """A JPEG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return file.getvalue()


def pixels(data: bytes) -> np.ndarray:
    """The grey levels of a file."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("L"))


def drawn_people(*, patients: int, slices: int, size: int = 192) -> Pictures:
    """Slices of drawn people, named as Afshar's are: `P0003_1.png`."""
    settings = PhantomSettings(patients=patients, slices_per_patient=slices, size=size, seed=3)
    pictures: Pictures = {}
    for drawn in iter_slices(settings):
        patient = drawn.patient
        name = f"{PREFIXES[patient.label]}{patient.number:04}_{drawn.index + 1}.png"
        pictures[patient.label, name] = png(drawn.image)
    return pictures


def patient_of(name: str) -> str:
    """The id in a file name."""
    return name.split("_")[0]


def write_pictures(root: Path, pictures: Pictures) -> Path:
    """Write a copy in the layout of the download, with a row for every picture."""
    rows = [DrawnSlice(label, name, patient_of(name), "50", "F") for label, name in pictures]
    write_copy(root, nesting="single", slices=rows)
    for (label, name), data in pictures.items():
        (root / "curated_data" / FOLDERS[label] / name).write_bytes(data)
    return root


def write_split(path: Path, pictures: Pictures, *, test: set[str]) -> Path:
    """A split.csv that puts the named slices into test and all others into train."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file_name", "label", "split"))
        for label, name in pictures:
            writer.writerow((name, CLASS_NAMES[label], "test" if name in test else "train"))
    return path


def planted(clean: Pictures) -> tuple[Pictures, dict[str, frozenset[str]]]:
    """The clean slices and four bad ones, and which pair each kind of copy makes."""
    (upside, cropped, recoded, mirrored), normal = (
        [name for label, name in clean if label == 1][:4],
        next(name for label, name in clean if label == 0),
    )
    originals = {name: pixels(data) for (_, name), data in clean.items()}
    height, width = originals[cropped].shape
    inner = np.s_[round(0.06 * height) : round(0.93 * height), round(0.04 * width) :]
    bad = {
        (1, "P9001_1.png"): png(originals[upside][::-1]),
        (1, "P9002_1.png"): png(originals[cropped][inner]),
        (1, "P9003_1.png"): jpeg(originals[recoded], quality=40),
        (1, "P9004_1.png"): png(originals[mirrored][:, ::-1]),
        (2, "cap9005_1.png"): png(originals[normal]),
    }
    pairs = {
        "upside down": frozenset((upside, "P9001_1.png")),
        "cropped": frozenset((cropped, "P9002_1.png")),
        "recoded": frozenset((recoded, "P9003_1.png")),
        "mirrored left to right": frozenset((mirrored, "P9004_1.png")),
        "equal pixels": frozenset((normal, "cap9005_1.png")),
    }
    return {**clean, **bad}, pairs
