"""Jun: twenty volumes with lung and infection masks (Zenodo 3757476), NIfTI.

    Zenodo: COVID-19-CT-Seg_20cases/  Infection_Mask/  Lung_Mask/  Lung_and_Infection_Mask/
            coronacases_001.nii.gz .. 010, radiopaedia_10_85902_1.nii.gz ..
    Kaggle: ct_scans/coronacases_org_001.nii, radiopaedia_org_covid-19-pneumonia-10_85902_3-dcm.nii
            infection_mask/coronacases_001.nii, ..., lung_mask/, lung_and_infection_mask/

The published set holds every slice with infection. Ten volumes are in Hounsfield units; the other
ten came from radiopaedia.org already rendered to 0..255, are stored transposed, and so appear
upside down. Eighteen people: see `names.RADIOPAEDIA_CASES`.
"""

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from mgajax.curation.archives.archive import RawSlice, ReadOptions, Unit
from mgajax.curation.archives.archive_tables import ArchiveRow, published_metadata, published_rows
from mgajax.curation.archives.packed import SourceFile
from mgajax.curation.archives.volumes import ArchiveVolume, binary_plane, open_mask, open_volume
from mgajax.curation.findings import Finding, Findings
from mgajax.curation.names import is_upside_down, patient_id_from_name
from mgajax.schema import COVID

RADIOPAEDIA: tuple[str, ...] = (
    "10_85902_1",
    "10_85902_3",
    "14_85914_0",
    "27_86410_0",
    "29_86490_1",
    "29_86491_1",
    "36_86526_0",
    "40_86625_0",
    "4_85506_1",
    "7_85703_0",
)
"""The radiopaedia volumes in the order in which the published set numbers them: case 11 to 20."""

FOLDERS: dict[str, str] = {
    "covid-19-ct-seg_20cases": "volume",
    "ct_scans": "volume",
    "infection_mask": "infection",
    "lung_mask": "lung",
    "lung_and_infection_mask": "combined",
}
"""Folder, lower case -> kind of its volumes. Names alone do not show it: masks are called like their
volumes, and the Cohen archive holds the same scans in a folder `volumes`."""

LUNG_LABELS = (1, 2)
INFECTION_LABELS = (1,)
COMBINED_LABELS = (1, 2, 3)

_CORONACASES = re.compile(r"coronacases(?:_org)?_0*(\d+)\.nii(?:\.gz)?", re.IGNORECASE)
_RADIOPAEDIA = re.compile(
    r"radiopaedia_(?:org_covid-19-pneumonia-)?(\d+_\d+_\d+)(?:-dcm)?\.nii(?:\.gz)?", re.IGNORECASE
)


@dataclass(frozen=True)
class _VolumePlan:
    """One volume with its masks; `stem` is the name of its slices without the number."""

    stem: str
    files: Mapping[str, SourceFile]
    rows: Mapping[str, ArchiveRow]


def find(files: Sequence[SourceFile], *, options: ReadOptions, findings: Findings) -> list[Unit]:
    """A unit a volume; see `archive.Find`."""
    volumes = _find_volumes(files)
    if not volumes:
        return []
    rows = published_rows(files, table="meta_data_covid.csv")
    units = []
    for stem, members in sorted(volumes.items(), key=lambda item: _case(item[0])):
        if "volume" not in members:
            for mask in members.values():
                findings.note(Finding.MASK_WITHOUT_VOLUME, mask.origin)
            continue
        if "infection" not in members and "combined" not in members:
            findings.note(Finding.NO_LABEL_ROW, f"{members['volume'].origin} (no infection mask)")
            if options.unlabelled == "leave_out" and not options.has_label(f"{stem}_"):
                findings.note(Finding.NOT_TAKEN, members["volume"].origin)
                continue
        own_rows = {name: row for name, row in rows.items() if name.startswith(f"{stem}_")}
        plan = _VolumePlan(stem=stem, files=members, rows=own_rows)
        units.append(
            Unit("jun", f"case{_case(stem)}", functools.partial(_read_slices, plan, options))
        )
    return units


def published_stem(name: str) -> str | None:
    """The published name of a volume's slices, without the number; None for other files.

    `coronacases_org_001.nii` -> `14_Jun_coronacases_case1`.
    """
    match = _CORONACASES.fullmatch(name)
    if match and 1 <= int(match.group(1)) <= 10:
        return f"14_Jun_coronacases_case{int(match.group(1))}"
    match = _RADIOPAEDIA.fullmatch(name)
    if match and match.group(1) in RADIOPAEDIA:
        case = 11 + RADIOPAEDIA.index(match.group(1))
        return f"14_Jun_radiopaedia_{match.group(1)}_case{case}"
    return None


def _case(stem: str) -> int:
    return int(stem.rpartition("_case")[2])


def _find_volumes(files: Sequence[SourceFile]) -> dict[str, dict[str, SourceFile]]:
    """Stem -> its files by kind ("volume", "infection", "lung", "combined")."""
    volumes: dict[str, dict[str, SourceFile]] = {}
    for file in files:
        stem = published_stem(file.name)
        kinds = [FOLDERS[f.casefold()] for f in file.place.parts[:-1] if f.casefold() in FOLDERS]
        if stem and kinds:
            volumes.setdefault(stem, {}).setdefault(kinds[-1], file)
    return volumes


def _read_slices(plan: _VolumePlan, options: ReadOptions, findings: Findings) -> Iterator[RawSlice]:
    """The wanted slices of one volume, by number."""
    volume = open_volume(plan.files["volume"])
    masks = {
        kind: open_mask(file, of=volume) for kind, file in plan.files.items() if kind != "volume"
    }
    unit = volume.unit
    for k in range(1, volume.depth + 1):
        lesions = _lesions(masks, k, infection=options.jun_infection)
        name = f"{plan.stem}_{k}.png"
        is_wanted = None if lesions is None else bool(lesions.any())
        verdict = options.verdict(
            name, is_wanted, "selection" if lesions is None else "lesion mask"
        )
        if verdict.is_taken is False:
            continue
        yield RawSlice(
            source="jun",
            label=COVID,
            file_name=name,
            patient_id=patient_id_from_name(name) or "",
            origin=plan.files["volume"].origin,
            slice_index=k,
            position=k,
            values=volume.plane(k),
            unit=unit,
            mask=lesions,
            lungs=_lungs(masks, k),
            is_selected_by_source=verdict.is_taken,
            reason=verdict.reason,
            metadata={
                "Slice": str(k),
                "Case Number": f"case{_case(plan.stem)}",
                "Source_detail": plan.stem.removeprefix("14_Jun_").rpartition("_case")[0],
                **published_metadata(plan.rows.get(name, {})),
            },
            upright_turn="flip_vertical" if is_upside_down(name) else "none",
        )


def _lesions(
    masks: Mapping[str, ArchiveVolume], k: int, *, infection: tuple[int, ...]
) -> UInt8[np.ndarray, "h w"] | None:
    """Infection by its own mask, else by the combined one."""
    if "infection" in masks:
        labels = INFECTION_LABELS
        return binary_plane(masks["infection"], k, labels=labels, known=labels)
    if "combined" in masks:
        return binary_plane(masks["combined"], k, labels=infection, known=COMBINED_LABELS)
    return None


def _lungs(masks: Mapping[str, ArchiveVolume], k: int) -> UInt8[np.ndarray, "h w"] | None:
    """Both lungs, infection included, by their own mask, else by the combined one."""
    if "lung" in masks:
        return binary_plane(masks["lung"], k, labels=LUNG_LABELS, known=LUNG_LABELS)
    if "combined" in masks:
        return binary_plane(masks["combined"], k, labels=COMBINED_LABELS, known=COMBINED_LABELS)
    return None
