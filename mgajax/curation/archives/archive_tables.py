"""The tables of the archives (CSV, XLSX) as rows of text by tidy column names.

The published tables (`meta_data_covid.csv`, `meta_data_normal.csv`) may lie anywhere in the raw folder.
They alone know some people and selections; without them the readers use rules, which they name.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mgajax.curation.archives.packed import SourceFile, find_named
from mgajax.curation.kaggle_layout import ENCODINGS
from mgajax.curation.patient_ids import tidy
from mgajax.errors import DataError

ArchiveRow = dict[str, str]

METADATA_COLUMNS: tuple[str, ...] = (
    "Gender",
    "Age",
    "Country",
    "Institution",
    "Image Source",
    "Source_detail",
    "Case Number",
    "Presentation",
    "finding",
    "Case Discussion",
    "Link",
    "Link2",
)
"""Columns that are copied into a slice's metadata."""


def read_csv(file: SourceFile, *, needs: Sequence[str], skip: int = 0) -> list[ArchiveRow]:
    """The rows of a CSV, keys as `column_key` makes them, values tidied; '' where missing.

    Args:
      file: UTF-8 (with or without BOM) or cp1252.
      needs: keys that must be there.
      skip: lines of title above the header.

    Raises:
      DataError: unreadable, or without a needed column.
    """
    reader = csv.reader(io.StringIO(_decode_table(file), newline=""))
    try:
        table = list(reader)[skip:]
    except csv.Error as error:
        raise DataError(
            f"{file.origin}: damaged at line {reader.line_num} ({error}); download it again"
        ) from error
    return list(_rows(table, needs=needs, origin=file.origin))


def read_xlsx(
    file: SourceFile, *, needs: Sequence[str], sheet: str | None = None
) -> list[ArchiveRow]:
    """The rows of an XLSX sheet, as `read_csv`; whole numbers are written without a point.

    Args:
      file: the workbook.
      needs: keys that must be there.
      sheet: its name; the first sheet where the workbook has none of that name.

    openpyxl documents no common error, hence the broad catch.

    Raises:
      DataError: unreadable, or without a needed column.
    """
    import openpyxl

    content = file.read()
    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        name = sheet if sheet in book.sheetnames else book.sheetnames[0]
        table = [[_text(cell) for cell in row] for row in book[name].iter_rows(values_only=True)]
        book.close()
    except Exception as error:
        raise DataError(f"{file.origin}: no readable XLSX ({error}); download it again") from error
    return list(_rows(table, needs=needs, origin=file.origin))


def column_key(name: str) -> str:
    """`name` stripped, in lower case, words joined by underscores: " Patient ID" -> "patient_id".

    Releases of one table differ in case and padding only.
    """
    return "_".join(tidy(name).casefold().replace("_", " ").split())


def single_table(files: Sequence[SourceFile], *, name: str) -> SourceFile | None:
    """The table among `files`, or None; copies of equal content count as one.

    Raises:
      DataError: they differ.
    """
    if len(files) > 1 and len({file.read() for file in files}) > 1:
        origins = " and ".join(file.origin for file in files)
        raise DataError(f"{name}: {origins} differ; keep the one of your release")
    return files[0] if files else None


def _rows(
    table: Iterable[Sequence[str]], *, needs: Sequence[str], origin: str
) -> Iterator[ArchiveRow]:
    rows = iter(table)
    keys = [column_key(name) for name in next(rows, [])]
    missing = [key for key in needs if key not in keys]
    if missing:
        raise DataError(
            f"{origin}: no column {', '.join(missing)}; found {', '.join(filter(None, keys)) or 'none'}"
            "; restore the table of the release"
        )
    for values in rows:
        cells = [tidy(value) for value in values]
        if any(cells):
            padded = cells + [""] * (len(keys) - len(cells))
            yield {key: value for key, value in zip(keys, padded, strict=False) if key}


def _text(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return "" if cell is None else str(cell)


def _decode_table(file: SourceFile) -> str:
    content = file.read()
    for encoding in ENCODINGS:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise DataError(f"{file.origin}: neither {' nor '.join(ENCODINGS)}; download it again")


def country_of(location: str) -> str:
    """The country that a location ends in: what follows the last comma, or the last "in"."""
    return re.split(r",|\bin\b", location)[-1].strip(". ")


def published_rows(files: Sequence[SourceFile], *, table: str) -> dict[str, ArchiveRow]:
    """File name in the published set -> its row of `table`; {} where the table is not there.

    Raises:
      DataError: the table is unreadable or has no column of file names.
    """
    file = single_table(find_named(files, table), name="published table")
    if file is None:
        return {}
    rows = read_csv(file, needs=("file_name", "patient_id"))
    return {row["file_name"]: row for row in rows}


def published_metadata(row: Mapping[str, str]) -> dict[str, str]:
    """A published row's texts for a slice's metadata, without unknown ones (`-` and empty cells)."""
    texts = {name: row.get(column_key(name), "") for name in METADATA_COLUMNS}
    return {name: text for name, text in texts.items() if text not in ("", "-")}
