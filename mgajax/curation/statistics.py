"""The numbers that describe a curated set: the paper's Table 1, Table 2 and Figure 4.

They are counted from the tables of a published or rebuilt copy (`read_facts`), without opening
pictures. Cases are patient ids of the archives, as in the paper; people, with double identities
merged, are counted as well.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int64

from mgajax.curation.ct_findings import FindingCounts, count_findings
from mgajax.curation.findings import Findings
from mgajax.curation.kaggle_layout import (
    CLASS_FOLDERS,
    TABLES,
    find_table,
    folder_levels,
    join_report,
    parse_age,
    read_table,
)
from mgajax.curation.matching import (
    PATIENTS_WITH_BORROWED_ROWS,
    SOURCES_WITHOUT_DEMOGRAPHICS,
    identify,
)
from mgajax.curation.names import canonical_name, mask_names, patient_id_from_name
from mgajax.curation.patient_ids import tidy
from mgajax.errors import DataError
from mgajax.folders import is_clutter
from mgajax.schema import CLASS_NAMES, SOURCES, SPLITS

CATALOGUE = "catalogue.csv"

FORMATS: dict[str, str] = {
    "zhao": "PNG, JPEG",
    "afshar": "DICOM",
    "cohen": "JPEG, PNG",
    "morozov": "NIfTI",
    "rahimzadeh": "TIFF",
    "jun": "NIfTI",
    "medseg": "NIfTI",
}
"""File formats of each archive."""

Demographics = Literal["published", "trusted"]
"""Ages and sexes as in the tables, or without those that cannot be true: MosMedData has none, and the
published tables have random ones for it (see `matching`)."""


@dataclass(frozen=True)
class SliceFacts:
    """The properties of a slice that the statistics need.

    Attributes:
      file_name, source: see the catalogue.
      label: index into `CLASS_NAMES`.
      case: "<source>/<patient id>" as the archive spells the id.
      patient: key of the person, double identities merged.
      country, gender, report: '' where unknown.
      age: in years, -1 where unknown.
      is_trusted: whether age and sex are the person's own, see `Demographics`.
      has_mask: whether it has a lesion mask.
    """

    file_name: str
    source: str
    label: int
    case: str
    patient: str
    country: str
    age: int
    gender: str
    report: str
    is_trusted: bool
    has_mask: bool


@dataclass(frozen=True)
class SourceRow:
    """One row of Table 1; tuples are by class, in the order of `CLASS_NAMES`."""

    source: str
    countries: tuple[str, ...]
    slices: tuple[int, ...]
    cases: tuple[int, ...]
    masked: int
    age_known: int
    gender_known: int
    stored_as: str

    @property
    def total(self) -> int:
        """Slices of all classes."""
        return sum(self.slices)


@dataclass(frozen=True, eq=False)
class Figure4:
    """The data of Figure 4, over slices as in the paper.

    Attributes:
      countries: country -> slices, the most frequent first; '' is unknown.
      genders: class -> {"M", "F", ""} -> slices.
      ages: class -> known ages in years, one for each slice.
      findings: of the slices of class COVID-19.
    """

    countries: dict[str, int]
    genders: dict[str, dict[str, int]]
    ages: dict[str, Int64[np.ndarray, "_"]]
    findings: FindingCounts

    def median_ages(self) -> dict[str, float | None]:
        """Class -> median age over slices."""
        return {name: float(np.median(a)) if len(a) else None for name, a in self.ages.items()}


def is_curated(folder: Path) -> bool:
    """Whether the folder holds tables or pictures of a published or rebuilt copy; a built data set has
    neither."""
    levels = folder_levels(folder)
    parts = [level / name for level in levels for name in (*TABLES, *CLASS_FOLDERS)]
    return any(part.exists() for part in (folder / CATALOGUE, *parts))


def read_facts(folder: Path) -> list[SliceFacts]:
    """The slices of a copy's tables, in their order.

    Args:
      folder: of a rebuilt set (with `catalogue.csv`) or of a downloaded one (with the three
        `meta_data_*.csv`, and masks in `masks/` beside them).

    Raises:
      DataError: neither is there, or a table is damaged.
    """
    if (folder / CATALOGUE).is_file():
        return _read_catalogue(folder / CATALOGUE)
    levels = folder_levels(folder)
    tables = [find_table(name, levels) for name in TABLES]
    if not any(tables):
        raise DataError(
            f"{folder}: neither {CATALOGUE} nor {', '.join(TABLES)}; give the folder of a curated set"
        )
    masks = _mask_names(levels)
    findings = Findings()
    facts = []
    for label, table in enumerate(tables):
        for row in read_table(table, label=label) if table else ():
            identity = identify(row.file_name, row, findings=findings)
            if identity is None:
                continue
            patient_id = row.patient_id or patient_id_from_name(row.file_name) or ""
            facts.append(
                SliceFacts(
                    file_name=row.file_name,
                    source=identity.source,
                    label=label,
                    case=f"{identity.source}/{patient_id}",
                    patient=identity.patient,
                    country=identity.country,
                    age=row.age,
                    gender=row.gender,
                    report=row.report,
                    is_trusted=_is_trusted(identity.source, identity.patient),
                    has_mask=any(name in masks for name in mask_names(row.file_name)),
                )
            )
    return facts


def table1(facts: Sequence[SliceFacts]) -> list[SourceRow]:
    """Table 1: a row for each source with slices, in the paper's order."""
    rows = []
    for source in SOURCES:
        source_facts = [fact for fact in facts if fact.source == source]
        if source_facts:
            rows.append(_count_source(source, source_facts))
    return rows


def total_row(facts: Sequence[SliceFacts]) -> SourceRow:
    """The last row of Table 1, over all sources."""
    return _count_source("all", facts)


def table2(
    facts: Sequence[SliceFacts], *, split_of: Mapping[str, str]
) -> dict[str, dict[str, int]]:
    """Table 2: split -> class -> slices, and `"unused"` for slices in no split.

    Args:
      facts: slices.
      split_of: file name -> split, or case -> split, or patient id -> split; see `read_split`.
    """
    counts = {split: dict.fromkeys(CLASS_NAMES, 0) for split in (*SPLITS, "unused")}
    for fact in facts:
        keys = (
            canonical_name(fact.file_name),
            fact.case,
            fact.patient,
            fact.case.partition("/")[2],
        )
        split = next((split_of[key] for key in keys if key in split_of), "unused")
        counts[split][CLASS_NAMES[fact.label]] += 1
    if not any(counts["unused"].values()):
        del counts["unused"]
    return counts


def read_split(path: Path) -> dict[str, str]:
    """The splits of a CSV by slice (`file_name`, as runs write it) or by patient.

    Keys are canonical file names, or patient ids of the column `Patient ID` or `patient`.

    Raises:
      DataError: no such file, a column is missing, or a split of another name.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: no readable split file ({error}); give a UTF-8 CSV") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    columns = {name.strip().casefold().replace(" ", "_"): name for name in reader.fieldnames or ()}
    key = next((name for name in ("file_name", "patient_id", "patient") if name in columns), None)
    if key is None or "split" not in columns:
        raise DataError(
            f"{path}: columns {', '.join(columns) or 'none'}; expected split, and file_name or "
            "Patient ID"
        )
    splits = {}
    for row in reader:
        split = {"val": "validation"}.get(tidy(row[columns["split"]]), tidy(row[columns["split"]]))
        if split not in (*SPLITS, "unused"):
            raise DataError(
                f"{path}, line {reader.line_num}: split {split!r}; expected {', '.join(SPLITS)}"
            )
        name = tidy(row[columns[key]])
        splits[canonical_name(name) if key == "file_name" else name] = split
    return splits


def figure4(facts: Sequence[SliceFacts], *, demographics: Demographics) -> Figure4:
    """The data of Figure 4; the paper's own are the "published" ones."""
    genders = {name: {"M": 0, "F": 0, "": 0} for name in CLASS_NAMES}
    ages: dict[str, list[int]] = {name: [] for name in CLASS_NAMES}
    for fact in facts:
        if demographics == "trusted" and not fact.is_trusted:
            continue
        genders[CLASS_NAMES[fact.label]][fact.gender] += 1
        if fact.age >= 0:
            ages[CLASS_NAMES[fact.label]].append(fact.age)
    countries = Counter(fact.country for fact in facts)
    return Figure4(
        countries=dict(sorted(countries.items(), key=lambda item: (-item[1], item[0]))),
        genders=genders,
        ages={name: np.array(values, np.int64) for name, values in ages.items()},
        findings=count_findings(
            fact.report for fact in facts if CLASS_NAMES[fact.label] == "COVID-19"
        ),
    )


def _count_source(source: str, facts: Sequence[SliceFacts]) -> SourceRow:
    labels = range(len(CLASS_NAMES))
    cases = [{fact.case for fact in facts if fact.label == label} for label in labels]
    countries = Counter(fact.country for fact in facts if fact.country)
    return SourceRow(
        source=source,
        countries=tuple(name for name, _ in countries.most_common()),
        slices=tuple(sum(fact.label == label for fact in facts) for label in labels),
        cases=tuple(len(ids) for ids in cases),
        masked=sum(fact.has_mask for fact in facts),
        age_known=sum(fact.is_trusted and fact.age >= 0 for fact in facts),
        gender_known=sum(fact.is_trusted and bool(fact.gender) for fact in facts),
        stored_as=FORMATS.get(source, "PNG"),
    )


def _read_catalogue(path: Path) -> list[SliceFacts]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        columns = ("file_name", "class_name", "source", "patient_id", "patient", "mask", "metadata")
        missing = [name for name in columns if name not in (reader.fieldnames or ())]
        if missing:
            raise DataError(
                f"{path}: no column {', '.join(missing)}; write it anew with mgajax curate"
            )
        return [_read_fact(row) for row in reader]


def _read_fact(row: Mapping[str, str]) -> SliceFacts:
    gender = row["gender"].upper()
    return SliceFacts(
        file_name=row["file_name"],
        source=row["source"],
        label=CLASS_NAMES.index(row["class_name"]),
        case=f"{row['source']}/{tidy(row['patient_id'])}",
        patient=row["patient"],
        country=row["country"],
        age=parse_age(row["age"]),
        gender=gender if gender in ("M", "F") else "",
        report=join_report(json.loads(row["metadata"] or "{}")),
        is_trusted=_is_trusted(row["source"], row["patient"]),
        has_mask=bool(row["mask"]),
    )


def _is_trusted(source: str, patient: str) -> bool:
    return source not in SOURCES_WITHOUT_DEMOGRAPHICS and patient not in PATIENTS_WITH_BORROWED_ROWS


def _mask_names(levels: Sequence[Path]) -> frozenset[str]:
    """Canonical stems of the files in a download's folder of masks."""
    folder = next((level / "masks" for level in levels if (level / "masks").is_dir()), None)
    paths = () if folder is None else folder.iterdir()
    return frozenset(canonical_name(path.stem) for path in paths if not is_clutter(path.name))
