"""The tables that come with the archives (CSV, XLSX) as rows of text by tidy column names."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mgajax.curation.archives.packed import SourceFile
from mgajax.curation.kaggle_layout import ENCODINGS
from mgajax.curation.patients import tidy
from mgajax.errors import DataError

Row = dict[str, str]


def read_csv(file: SourceFile, *, needs: Sequence[str], skip: int = 0) -> list[Row]:
    """The rows of a CSV, keys as `column_key` makes them, values tidied; '' where missing.

    Args:
      file: UTF-8 (with or without BOM) or cp1252.
      needs: keys that must be there.
      skip: lines of title above the header.

    Raises:
      DataError: unreadable, or without a needed column.
    """
    reader = csv.reader(io.StringIO(_decode(file), newline=""))
    try:
        table = list(reader)[skip:]
    except csv.Error as error:
        raise DataError(
            f"{file.origin}: damaged at line {reader.line_num} ({error}); download it again"
        ) from error
    return list(_rows(table, needs=needs, where=file.origin))


def read_xlsx(file: SourceFile, *, needs: Sequence[str], sheet: str | None = None) -> list[Row]:
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
    return list(_rows(table, needs=needs, where=file.origin))


def column_key(name: str) -> str:
    """`name` stripped, in lower case, words joined by underscores: " Patient ID" -> "patient_id".

    Releases of one table differ in case and padding only.
    """
    return "_".join(tidy(name).casefold().replace("_", " ").split())


def only(files: Sequence[SourceFile], *, what: str) -> SourceFile | None:
    """The one table among `files`, or None; copies of equal content count as one.

    Raises:
      DataError: they differ.
    """
    if len(files) > 1 and len({file.read() for file in files}) > 1:
        places = " and ".join(file.origin for file in files)
        raise DataError(f"{what}: {places} differ; keep the one of your release")
    return files[0] if files else None


def _rows(table: Iterable[Sequence[str]], *, needs: Sequence[str], where: str) -> Iterator[Row]:
    lines = iter(table)
    keys = [column_key(name) for name in next(lines, [])]
    missing = [key for key in needs if key not in keys]
    if missing:
        raise DataError(
            f"{where}: no column {', '.join(missing)}; found {', '.join(filter(None, keys)) or 'none'}"
            "; restore the table of the release"
        )
    for values in lines:
        cells = [tidy(value) for value in values]
        if any(cells):
            padded = cells + [""] * (len(keys) - len(cells))
            yield {key: value for key, value in zip(keys, padded, strict=False) if key}


def _text(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return "" if cell is None else str(cell)


def _decode(file: SourceFile) -> str:
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
