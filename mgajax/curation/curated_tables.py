"""The tables beside curated slices: the three of the published set, and the catalogue.

The three have the columns of the release on Kaggle, in UTF-8, so that readers of that release can read
them. The catalogue has a row for each slice, with all that is known of how it was made.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.csv
import pyarrow.parquet

from mgajax.curation.journal import CuratedSlice
from mgajax.curation.kaggle_layout import TABLES
from mgajax.files import write_bytes
from mgajax.schema import CLASS_NAMES

_CAP = (
    "index,File name,Patient ID,Slices_x,Columns,Date of Last Calibration,Diagnosis,"
    "Distance Source to Detector,Distance Source to Patient,Exposure Time,KVP,Age,Gender,Rows,"
    "Slice Thickness,Slices_y,Study Date,XRayTubeCurrent,Last Calibration,mAs,Country"
)
_OTHER = (
    "index,File name,Patient ID,Gender,Age,Country,Diagnosis,Slice,Case Discussion,Case Number,"
    "Columns,Date,Date of Last Calibration,Distance Source to Detector,Distance Source to Patient,"
    "Exposure Time,Image Source,Institution,KVP,Last Calibration,Link,Link2,Other diseases,"
    "Presentation,RT_PCR_positive,Rows,Severity,Slice Thickness,Slices,Source_detail,Time,"
    "XRayTubeCurrent,category,doi,finding,in_icu,intubated,intubation_present,license,mAs,"
    "mask_file,needed_supplemental_O2,study_file,survival,went_icu"
)
COLUMNS: tuple[list[str], ...] = tuple(
    text.split(",") for text in (_OTHER, _OTHER.replace("RT_PCR_positive", "RT_PCR_COVID-19"), _CAP)
)
"""Columns of each class's table. The covid table has `RT_PCR_COVID-19`, since "positive" was replaced
everywhere in it."""

RENAMED: Mapping[str, str] = {
    "Slices_x": "Slice",
    "Slices_y": "Slices",
    "Study Date": "Date",
    "RT_PCR_COVID-19": "RT_PCR_positive",
}
"""Column of a table -> the name of its text in the metadata."""


def write_tables(slices: Sequence[CuratedSlice], *, out: Path) -> None:
    """Write `meta_data_{normal,covid,cap}.csv`, `catalogue.csv` and `catalogue.parquet`.

    The CSV and the Parquet file hold the same rows; `metadata` is JSON text in both.
    """
    for label, (name, columns) in enumerate(zip(TABLES, COLUMNS, strict=True)):
        rows = [row for row in slices if row.class_name == CLASS_NAMES[label]]
        write_bytes(_format_published_table(rows, columns=columns).encode(), out / name)
    table = catalogue_table(slices)
    buffer = io.BytesIO()
    pyarrow.csv.write_csv(table, buffer)
    write_bytes(buffer.getvalue(), out / "catalogue.csv")
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer)
    write_bytes(buffer.getvalue(), out / "catalogue.parquet")


def catalogue_table(slices: Sequence[CuratedSlice]) -> pyarrow.Table:
    """The catalogue as an Arrow table, one column an attribute of `CuratedSlice`."""
    rows = [
        asdict(row)
        | {"metadata": json.dumps(dict(row.metadata), ensure_ascii=False, sort_keys=True)}
        for row in slices
    ]
    return pyarrow.Table.from_pylist(rows, schema=_SCHEMA)


_ARROW: Mapping[Any, Any] = {
    str: pyarrow.string(),
    int: pyarrow.int64(),
    float: pyarrow.float64(),
    bool: pyarrow.bool_(),
    int | None: pyarrow.int64(),
    float | None: pyarrow.float64(),
    Mapping[str, str]: pyarrow.string(),
}
_SCHEMA = pyarrow.schema(
    [(name, _ARROW[kind]) for name, kind in CuratedSlice.__annotations__.items()]
)


def _format_published_table(rows: Sequence[CuratedSlice], *, columns: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for index, row in enumerate(rows):
        cells = {
            **row.metadata,
            "index": str(index),
            "File name": row.file_name,
            "Patient ID": row.patient_id,
            "Gender": row.gender,
            "Age": row.age,
            "Country": row.country,
            "Diagnosis": row.class_name,
            "Slice": "" if row.slice_index is None else str(row.slice_index),
        }
        writer.writerow([cells.get(RENAMED.get(name, name), "") for name in columns])
    return text.getvalue()
