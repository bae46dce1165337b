"""Slices that one core reads, renders and writes in a second, for each format.

    python -m pytest -m slow -s tests/curation/test_curation_speed.py

Full-size slices with the noise of a scanner, by which compression is as slow as on real ones.
"""

import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawn_archives import afshar_labels, afshar_patient, picture, write_tiff, zhao_workbook
from drawn_nifti import stored, write_nifti
from drawn_volumes import chest

from mgajax.curation.curate import curate

SLICES = 60


def noisy_chest() -> np.ndarray:
    """Hounsfield units `[n, 512, 512]` int32."""
    volume = np.moveaxis(chest(depth=SLICES, side=512), 2, 0).astype(np.int32)
    noise = np.random.default_rng(0).normal(0, 25, volume.shape).astype(np.int32)
    return np.clip(volume + noise, -1024, 3000)


def dicom(root: Path, volume: np.ndarray) -> str:
    afshar_patient(root / "COVID-19 Cases" / "P001", volume)
    afshar_labels(root, [("COVID-19", "P001", range(SLICES))])
    return "afshar"


def tiff(root: Path, volume: np.ndarray) -> str:
    names = [f"IM{k:05}.tif" for k in range(SLICES)]
    for name, plane in zip(names, volume, strict=True):
        write_tiff(root / "137covid" / "patient1" / "SR_4" / name, plane)
    rows = "".join(f"137covid_patient1_SR_4_{name},covid\n" for name in names)
    (root / "all.csv").write_text(f"filename,class\n{rows}")
    return "rahimzadeh"


def nifti(root: Path, volume: np.ndarray) -> str:
    upright = np.moveaxis(volume, 0, 2).astype(np.int16)
    lesion = np.zeros_like(upright)
    lesion[250:270, 150:180] = 1
    write_nifti(root / "studies" / "CT-1" / "study_0255.nii.gz", stored(upright))
    write_nifti(root / "masks" / "study_0255_mask.nii.gz", stored(lesion))
    return "morozov"


def png(root: Path, volume: np.ndarray) -> str:
    (root / "CT_COVID").mkdir(parents=True)
    rows = []
    for k in range(SLICES):
        content = picture("PNG", mode="RGB", seed=k, size=(300, 400))
        (root / "CT_COVID" / f"{k}.png").write_bytes(content)
        rows.append({"File name": f"{k}.png", "Patient ID": f"Patient {k}"})
    zhao_workbook(root / "COVID-CT-MetaInfo.xlsx", rows)
    return "zhao"


@pytest.mark.slow(finds="a reader by which the full set would take hours")
@pytest.mark.parametrize("draw", [dicom, tiff, nifti, png])
def test_slices_per_second(tmp_path: Path, draw: Callable[[Path, np.ndarray], str]) -> None:
    """Ten a second a core: the 17,104 slices of the full set in a quarter of an hour on two."""
    source = draw(tmp_path / "raw", noisy_chest())
    start = time.process_time()
    report = curate(tmp_path / "raw", out=tmp_path / "out", sources=[source])
    rate = report.slices / (time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\n{draw.__name__}: {rate:.0f} slices/s on one core, peak {peak:.0f} MiB so far")
    assert report.slices == SLICES
    assert rate > 10
