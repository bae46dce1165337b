"""Drawn archives of NIfTI volumes, laid out and headed like the real ones.

Voxels are stored so that `np.rot90(volume[:, :, k - 1])` is the upright slice k, as in MosMedData;
`transposed` stores them as radiopaedia's volumes are, which that turn leaves upside down.
"""

import gzip
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import openpyxl
from drawn_volumes import chest

HEADER = ("study_id", "category", "study_file", "mask_file")


def stored(upright: np.ndarray) -> np.ndarray:
    """Upright slices `[h, w, n]` as MosMedData stores them, `[w, h, n]`: axes left, anterior, up."""
    return np.rot90(upright, k=-1)


def transposed(upright: np.ndarray) -> np.ndarray:
    """Upright slices as radiopaedia's volumes are stored, `[w, h, n]`."""
    return np.swapaxes(upright, 0, 1)


def write_nifti(
    path: Path,
    voxels: np.ndarray,
    *,
    scaling: tuple[float, float] = (float("nan"), float("nan")),
    spacing: tuple[float, float, float] = (0.7, 0.7, 8.0),
    order: str = "<",
) -> Path:
    """Write `voxels` as stored values with the given slope and intercept, left-anterior-up."""
    affine = np.diag([-spacing[0], spacing[1], spacing[2], 1.0])
    header = nib.Nifti1Header(endianness=order)
    image = nib.Nifti1Image(voxels, affine, header, dtype=voxels.dtype)
    content = bytearray(image.to_bytes())
    content[112:120] = np.array(scaling, f"{order}f4").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    # A fixed time stamp, so that two drawings of one volume are equal.
    path.write_bytes(gzip.compress(content, 1, mtime=0) if path.suffix == ".gz" else bytes(content))
    return path


def lesions(shape: tuple[int, ...], *, planes: Sequence[int], label: int = 1) -> np.ndarray:
    """An upright label volume `[h, w, n]` int16: a square of `label` off centre on some planes.

    `planes` count from 1.
    """
    volume = np.zeros(shape, np.int16)
    for k in planes:
        volume[4:9, 3 : 6 + k % 3, k - 1] = label
    return volume


def morozov_archive(
    root: Path, *, registry: str = "xlsx", depth: int = 24
) -> dict[str, np.ndarray]:
    """Two CT-0 studies, two CT-1 of which one has a mask, one CT-2. Upright volumes by study."""
    grades = {1: "CT-0", 2: "CT-0", 255: "CT-1", 256: "CT-1", 939: "CT-2"}
    volumes = {}
    for study, grade in grades.items():
        name = f"study_{study:04d}"
        upright = chest(depth=depth, side=32) + np.int16(study % 7)
        volumes[name] = upright
        write_nifti(root / "studies" / grade / f"{name}.nii.gz", stored(upright))
    mask = lesions((32, 32, depth), planes=(9, 13, 14))
    volumes["mask"] = mask
    write_nifti(root / "masks" / "study_0255_mask.nii.gz", stored(mask))
    rows = [
        (
            study,
            grade,
            f"/studies/{grade}/study_{study:04d}.nii.gz",
            "/masks/study_0255_mask.nii.gz" if study == 255 else None,
        )
        for study, grade in grades.items()
    ]
    if registry == "xlsx":
        write_xlsx(root / "dataset_registry.xlsx", [HEADER, *rows])
    elif registry == "csv":
        lines = [
            ",".join("" if cell is None else str(cell) for cell in row) for row in [HEADER, *rows]
        ]
        text = "\r\n".join([*lines, ""])
        (root / "dataset_registry.csv").write_text(text, encoding="utf-8-sig", newline="")
    return volumes


def write_xlsx(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    """One sheet of `rows`."""
    book = openpyxl.Workbook()
    book.active.title = "MosMedData COVID19_1110"
    for row in rows:
        book.active.append(list(row))
    book.save(path)
    return path


def jun_archive(root: Path, *, style: str = "zenodo") -> dict[str, np.ndarray]:
    """One coronacases volume in HU, one of radiopaedia's in grey levels and not square.

    Returns the upright volumes, and `<stem> infection` and `<stem> lungs` as 0/1.
    """
    hounsfield = chest(depth=6, side=32)
    grey = np.clip((chest(depth=5, side=20, width=32) + 1400) / 1500 * 255, 0, 255).astype(np.uint8)
    drawn: dict[str, np.ndarray] = {}
    for stem, upright, store, suffix in (
        ("coronacases_case3", hounsfield, stored, ("coronacases_003", "coronacases_org_003")),
        (
            "radiopaedia_14_85914_0_case13",
            grey,
            transposed,
            ("radiopaedia_14_85914_0", "radiopaedia_org_covid-19-pneumonia-14_85914_0-dcm"),
        ),
    ):
        infection = lesions(upright.shape, planes=(2, 4))
        lungs = np.zeros(upright.shape, np.int16)
        lungs[3:12, 2:8], lungs[3:12, 16:22] = 1, 2
        combined = np.where(infection > 0, 3, lungs).astype(np.int16)
        drawn |= {stem: upright, f"{stem} infection": infection, f"{stem} lungs": combined > 0}
        zenodo = style == "zenodo"
        ending = ".nii.gz" if zenodo else ".nii"
        folders = (
            ("COVID-19-CT-Seg_20cases", "Infection_Mask", "Lung_Mask", "Lung_and_Infection_Mask")
            if zenodo
            else ("ct_scans", "infection_mask", "lung_mask", "lung_and_infection_mask")
        )
        mask_name = suffix[0] + ending
        volume_name = (suffix[0] if zenodo else suffix[1]) + ending
        names = (volume_name, mask_name, mask_name, mask_name)
        for folder, name, values in zip(
            folders,
            names,
            (upright, infection, np.where(combined > 0, np.maximum(lungs, 1), 0), combined),
            strict=True,
        ):
            dtype = values.dtype if folder == folders[0] else np.uint8
            write_nifti(root / folder / name, store(values.astype(dtype)), scaling=(1.0, 0.0))
    return drawn


def medseg_archive(root: Path, *, count: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """`tr_im` and `tr_mask` with three labels; slice 3 has an empty mask. Both upright."""
    upright = chest(depth=count, side=32).astype(np.float32)
    labels = np.zeros(upright.shape, np.int16)
    for k in (0, 1, 3, 4):
        labels[5:9, 5:9, k], labels[12:15, 5:9, k], labels[20:24, 5 : 7 + k, k] = 1, 2, 3
    write_nifti(root / "tr_im.nii.gz", transposed(upright), scaling=(1.0, 0.0))
    write_nifti(root / "tr_mask.nii.gz", transposed(labels).astype(np.float32), scaling=(1.0, 0.0))
    write_nifti(root / "val_im.nii.gz", transposed(upright[:, :, :2]), scaling=(1.0, 0.0))
    return upright, labels
