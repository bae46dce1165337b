"""What only the published tables know: people and selections that an archive does not tell.

The tables (`meta_data_covid.csv`, `meta_data_normal.csv`) may lie anywhere in the raw folder.
Without them the readers fall back on rules, which they name.
"""

from collections.abc import Mapping, Sequence

from mgajax.curation.archives.packed import SourceFile, named
from mgajax.curation.archives.tables import Row, column_key, only, read_csv

CARRIED: tuple[str, ...] = (
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
"""Columns that are taken over into a slice's metadata."""


def published_rows(files: Sequence[SourceFile], *, table: str) -> dict[str, Row]:
    """File name in the published set -> its row of `table`; {} where nobody has given the table.

    Raises:
      DataError: the table is unreadable or has no column of file names.
    """
    found = only(named(files, table), what="published table")
    if found is None:
        return {}
    rows = read_csv(found, needs=("file_name", "patient_id"))
    return {row["file_name"]: row for row in rows}


def carried(row: Mapping[str, str]) -> dict[str, str]:
    """What a published row adds to a slice's metadata; `-` and empty cells mean unknown."""
    texts = {name: row.get(column_key(name), "") for name in CARRIED}
    return {name: text for name, text in texts.items() if text not in ("", "-")}
