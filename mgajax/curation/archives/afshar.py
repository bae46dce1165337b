"""Afshar: COVID-CT-MD (Figshare collection 5129081), three classes, DICOM series.

    .../{COVID-19,Cap,Normal} {Cases,subjects}/<patient>/*.dcm
    Index.csv  Slice-level-labels[-updated-1].npy  Clinical-data.csv

Slice labels exist for 54 COVID and 25 CAP patients; the published set holds their labelled slices,
and ten of each normal. Its names follow the release of October 2020, whose patients were numbered
otherwise (`afshar_ids`), and count slices in an order of their own (`lexicographic_rank`).
"""

import functools
import io
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mgajax.curation.archives.afshar_ids import Release, published_id, release_of
from mgajax.curation.archives.afshar_series import FIX, Header, Series, read_series
from mgajax.curation.archives.archive import RawSlice, ReadOptions, Unit
from mgajax.curation.archives.archive_tables import (
    ArchiveRow,
    published_rows,
    read_csv,
    single_table,
)
from mgajax.curation.archives.packed import SourceFile, find_named
from mgajax.curation.findings import Finding, Findings
from mgajax.curation.names import source_of
from mgajax.errors import DataError, quantity
from mgajax.imaging.dicom import read_hounsfield
from mgajax.schema import CLASS_NAMES, COVID

FOLDERS: dict[str, int] = {"normal": 0, "covid-19": COVID, "cap": 2}
"""First word of a class folder, lower case; "Cases" or "subjects" follows, by release."""

LABEL_FILES: dict[str, str] = {
    "first": "Slice-level-labels.npy",
    "updated": "Slice-level-labels-updated-1.npy",
}
"""The update changes P001 and P006 alone; the published set follows the first."""

NORMAL_SLICES = 10
NORMAL_STEP = 2
"""Of every normal the published set holds ten slices, every second one from the middle of the lung:
from InstanceNumber round(n / 2) - 8 on in 63 of 76 series of n slices. Those that the published
table names are taken instead where that table lies in the raw folder."""

_FOLDER = re.compile(r"(covid-19|cap|normal) (cases|subjects)", re.IGNORECASE)

SeriesRule = Literal["slice label", "published", "mid-lung", "selection"]


@dataclass(frozen=True)
class _SeriesPlan:
    """One patient's series, and what decides which slices are taken."""

    label: int
    patient_id: str
    files: tuple[SourceFile, ...]
    rule: SeriesRule
    slice_labels: tuple[int, ...]
    published: tuple[str, ...]
    clinical: Mapping[str, str]


def find(files: Sequence[SourceFile], *, options: ReadOptions, findings: Findings) -> list[Unit]:
    """A unit a patient; see `archive.Find`.

    Raises:
      DataError: the label table or array is unreadable, or they do not fit each other.
    """
    series = _find_series(files)
    if not series:
        return []
    rows, release = _read_label_rows(files, options=options, findings=findings)
    clinical = _read_clinical(files)
    normals = _read_published_normals(files)
    units = []
    for (label, folder), members in sorted(series.items()):
        patient = published_id(folder, label=label, release=release)
        published = tuple(sorted(normals.get(patient.text, ())))
        rule: SeriesRule = "slice label" if folder in rows else "selection"
        if label == 0:
            rule = "published" if published else "mid-lung"
        if rule == "selection":
            if patient.is_published:
                findings.note(Finding.NO_LABEL_ROW, f"{members[0].place.parent} ({folder})")
            if options.unlabelled == "leave_out" and not options.has_label(f"{patient.text}_"):
                findings.note(Finding.NOT_TAKEN, f"{members[0].place.parent}")
                continue
        plan = _SeriesPlan(
            label=label,
            patient_id=patient.text,
            files=tuple(members),
            rule=rule,
            slice_labels=rows.get(folder, ()),
            published=published,
            clinical=clinical.get(folder.casefold(), {}),
        )
        units.append(
            Unit("afshar", plan.patient_id, functools.partial(_read_slices, plan, options))
        )
    return units


def _find_series(files: Sequence[SourceFile]) -> dict[tuple[int, str], list[SourceFile]]:
    """The DICOM files of each (label, patient folder)."""
    series: defaultdict[tuple[int, str], list[SourceFile]] = defaultdict(list)
    for file in files:
        if file.place.suffix.lower() != ".dcm" or len(file.place.parts) < 3:
            continue
        match = _FOLDER.fullmatch(file.place.parts[-3])
        if match:
            series[FOLDERS[match.group(1).lower()], file.place.parts[-2]].append(file)
    return dict(series)


def _read_label_rows(
    files: Sequence[SourceFile], *, options: ReadOptions, findings: Findings
) -> tuple[dict[str, tuple[int, ...]], Release]:
    """Patient folder -> its 0/1 labels by position, and which release numbered the patients.

    A patient's row of the array is the row in Index.csv: `Label Index` skips 43, the array does not.
    """
    with_labels = [f for f in files if f.place.parent.name != "original_labels"]
    index = single_table(find_named(with_labels, "Index.csv"), name="index of the slice labels")
    if index is None:
        return {}, "current"
    table = read_csv(index, needs=("diagnosis", "folder/id"))
    ids = [row["folder/id"] for row in table]
    release = release_of([(row["diagnosis"], row["folder/id"]) for row in table])
    neighbours = [f for f in with_labels if f.place.parent == index.place.parent]
    fallback = {"first": "updated", "updated": "first"}[options.afshar_labels]
    arrays = find_named(neighbours, LABEL_FILES[options.afshar_labels])
    if not arrays:
        arrays = find_named(neighbours, LABEL_FILES[fallback])
        findings.note(Finding.OTHER_LABELS, f"{LABEL_FILES[fallback]} beside {index.origin}")
    if not arrays:
        raise DataError(
            f"{index.place.parent}: {LABEL_FILES[options.afshar_labels]} is missing beside "
            "Index.csv; download it again"
        )
    labels = _read_labels(arrays[0])
    if len(labels) != len(ids):
        raise DataError(
            f"{arrays[0].origin}: {quantity(len(labels), 'row')} of labels, but {index.origin} "
            f"lists {quantity(len(ids), 'patient')}; take both from one release"
        )
    return {name: tuple(row) for name, row in zip(ids, labels.tolist(), strict=True)}, release


def _read_labels(file: SourceFile) -> np.ndarray:
    """The label array. numpy parses its header as Python, with as many errors; hence the broad catch."""
    content = file.read()
    try:
        labels = np.load(io.BytesIO(content), allow_pickle=False)
    except Exception as error:
        raise DataError(f"{file.origin}: no readable array ({error}); download it again") from error
    if labels.ndim != 2 or not np.isin(labels, (0, 1)).all():
        raise DataError(
            f"{file.origin}: array {labels.shape} of {labels.dtype}, expected 0 and 1 by "
            "[patient, slice]; download it again"
        )
    return labels.astype(np.int64)


def _read_published_normals(files: Sequence[SourceFile]) -> dict[str, list[str]]:
    """Patient -> the names of that patient's slices in the published table, if it is there."""
    people: defaultdict[str, list[str]] = defaultdict(list)
    for name in published_rows(files, table="meta_data_normal.csv"):
        if source_of(name) == "afshar":
            people[name.rpartition("_")[0]].append(name)
    return dict(people)


def _read_clinical(files: Sequence[SourceFile]) -> dict[str, ArchiveRow]:
    """Patient folder, lower case -> its row of Clinical-data.csv (whose first line is a title)."""
    table = single_table(find_named(files, "Clinical-data.csv"), name="clinical table")
    if table is None:
        return {}
    return {row["folder"].casefold(): row for row in read_csv(table, needs=("folder",), skip=1)}


def _read_slices(plan: _SeriesPlan, options: ReadOptions, findings: Findings) -> Iterator[RawSlice]:
    """The wanted slices of one patient, head first."""
    series = read_series(plan.files, findings=findings)
    for header in series.headers:
        number = series.number(header)
        name = f"{plan.patient_id}_{number}.png"
        by_source = _is_taken(plan, header, series, name=name)
        verdict = options.verdict(name, by_source, plan.rule)
        if verdict.is_taken is False:
            continue
        try:
            values = read_hounsfield(header.file.read(), name=header.file.origin, fix=FIX)
        except DataError as error:
            findings.note(Finding.DAMAGED_SOURCE, str(error))
            continue
        yield RawSlice(
            source="afshar",
            label=plan.label,
            file_name=name,
            patient_id=plan.patient_id,
            origin=header.file.origin,
            slice_index=number,
            position=series.position(header),
            values=values,
            unit="HU",
            is_selected_by_source=verdict.is_taken,
            reason=verdict.reason,
            metadata=_metadata(header, plan, length=series.length),
        )


def _is_taken(plan: _SeriesPlan, header: Header, series: Series, *, name: str) -> bool | None:
    """Whether the source takes a slice; None where it does not say."""
    if plan.rule == "slice label":
        position = series.position(header)
        return position < len(plan.slice_labels) and plan.slice_labels[position] == 1
    if plan.rule == "published":
        return name in plan.published
    if plan.rule == "mid-lung":
        start = round(series.length / 2) - 8
        return header.instance in range(start, start + NORMAL_STEP * NORMAL_SLICES, NORMAL_STEP)
    return None


def _metadata(header: Header, plan: _SeriesPlan, *, length: int) -> dict[str, str]:
    """Texts by the column names of the published tables."""
    texts, clinical = header.texts, plan.clinical
    age = texts.get("PatientAge") or clinical.get("patient_age", "")
    columns = {
        "Age": age.removesuffix("Y").lstrip("0"),
        "Gender": texts.get("PatientSex") or clinical.get("patient_gender", ""),
        "Country": "Iran",
        "Image Source": "Babak Imaging Center, Tehran",
        "Slices": str(length),
        "Date": texts.get("StudyDate", ""),
        "Date of Last Calibration": texts.get("DateOfLastCalibration", ""),
        "Last Calibration": _format_days(texts),
        "Distance Source to Detector": texts.get("DistanceSourceToDetector", ""),
        "Distance Source to Patient": texts.get("DistanceSourceToPatient", ""),
        "Exposure Time": texts.get("ExposureTime", ""),
        "KVP": texts.get("KVP", ""),
        "XRayTubeCurrent": texts.get("XRayTubeCurrent", ""),
        "mAs": _compute_exposure(texts),
        "Slice Thickness": texts.get("SliceThickness", ""),
        "Rows": texts.get("Rows", ""),
        "Columns": texts.get("Columns", ""),
        "Pixel spacing (mm)": texts.get("PixelSpacing", "").replace("\\", " x "),
        "Clinical characteristics": clinical.get("clinical_characteristics", ""),
        "Diagnosis": CLASS_NAMES[plan.label],
    }
    return {name: text for name, text in columns.items() if text}


def _compute_exposure(texts: Mapping[str, str]) -> str:
    """Tube current (mA) times exposure time (ms), in mAs, as the published tables have it."""
    try:
        product = float(texts["XRayTubeCurrent"]) * float(texts["ExposureTime"]) / 1000
    except (KeyError, ValueError):
        return ""
    return f"{product:.10g}"


def _format_days(texts: Mapping[str, str]) -> str:
    """From the last calibration to the study, spelt as in the published tables."""
    try:
        study = np.datetime64(_iso(texts["StudyDate"]))
        days = (study - np.datetime64(_iso(texts["DateOfLastCalibration"]))).astype(int)
    except (KeyError, ValueError):
        return ""
    return f"{days} days 00:00:00.000000000"


def _iso(date: str) -> str:
    return f"{date[:4]}-{date[4:6]}-{date[6:8]}"
