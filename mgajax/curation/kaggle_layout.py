"""The curated set as downloaded: its folders, and its three CSV files.

    <manual_dir>/curated_data/[curated_data/]{1NonCOVID,2COVID,3CAP}/*.png
    <manual_dir>/meta_data_{normal,covid,cap}.csv
    <manual_dir>/masks/*.png                                               (optional)

The tables exist in two header variants, in mixed encodings, with line breaks inside quotes and
several spellings of "missing"; `read_rows` handles all of that.
"""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mgajax.curation.patient_ids import tidy
from mgajax.errors import DataError

CLASS_FOLDERS: tuple[str, ...] = ("1NonCOVID", "2COVID", "3CAP")
"""Folder of each class, in the order of `CLASS_NAMES`."""

TABLES: tuple[str, ...] = ("meta_data_normal.csv", "meta_data_covid.csv", "meta_data_cap.csv")
"""Table of each class, in the order of `CLASS_NAMES`."""

COLUMNS: tuple[str, ...] = ("File name", "Patient ID", "Age", "Gender", "Country")
"""The columns that are read; both header variants have them. The class column is not among them: it has
three names in six files, and folder and table give the class."""

REPORT_COLUMNS: tuple[str, ...] = ("finding", "Severity")
"""Columns with texts of reports and captions on the CT (Zhao, Cohen, Jun's radiopaedia cases); read
where present. `Presentation` and `Case Discussion` are about the illness."""

ENCODINGS: tuple[str, ...] = ("utf-8-sig", "cp1252")
"""Tried in this order. The covid table is cp1252, the others ASCII; a copy that was saved again is UTF-8.
The covid table's bytes are not valid UTF-8, so that this order is safe."""

MISSING: frozenset[str] = frozenset({"", "-"})


@dataclass(frozen=True)
class KaggleLayout:
    """The parts of a downloaded copy.

    Attributes:
      class_folders: one for each class, in the order of `CLASS_NAMES`.
      tables: one CSV for each class, in the same order.
      mask_folder: the folder of lesion masks, or None.
    """

    class_folders: tuple[Path, ...]
    tables: tuple[Path, ...]
    mask_folder: Path | None


@dataclass(frozen=True)
class KaggleRow:
    """One row of the tables, cleaned; `age` is -1 and text is '' where unknown.

    `report` joins the `REPORT_COLUMNS`.
    """

    file_name: str
    label: int
    patient_id: str
    country: str
    age: int
    gender: str
    report: str = ""


def find_layout(manual_dir: Path) -> KaggleLayout:
    """Locate class folders, tables and masks under `manual_dir`.

    `manual_dir` may be the folder of the tables or `curated_data` itself, once or twice nested;
    the tables and `masks/` may lie on any of these levels.

    Raises:
      DataError: a class folder or table is missing, or there are two.
    """
    if not manual_dir.is_dir():
        raise DataError(f"{manual_dir}: no such folder; pass the folder that holds curated_data/")
    levels = folder_levels(manual_dir)
    roots = [level for level in levels[:3] if any((level / f).is_dir() for f in CLASS_FOLDERS)]
    if len(roots) != 1:
        hint = f"found in {' and '.join(map(str, roots))}" if roots else "found none"
        raise DataError(
            f"{manual_dir}: expected the class folders {', '.join(CLASS_FOLDERS)} in exactly one of "
            f"curated_data/ and curated_data/curated_data/, {hint}; unpack the download again"
        )
    missing = [f for f in CLASS_FOLDERS if not (roots[0] / f).is_dir()]
    if missing:
        raise DataError(
            f"{roots[0]}: class folder {', '.join(missing)} is missing; unpack it again"
        )
    masks = [level / "masks" for level in levels if (level / "masks").is_dir()]
    return KaggleLayout(
        class_folders=tuple(roots[0] / folder for folder in CLASS_FOLDERS),
        tables=tuple(_find_table(name, levels) for name in TABLES),
        mask_folder=masks[0] if masks else None,
    )


def folder_levels(manual_dir: Path) -> list[Path]:
    """The folders that may hold parts of a download: `manual_dir`, `curated_data` in it once or twice,
    and the folders above it while it is itself called so. The first three come first.
    """
    levels = [manual_dir, manual_dir / "curated_data", manual_dir / "curated_data" / "curated_data"]
    above = manual_dir
    while above.name == "curated_data":
        above = above.parent
        levels.append(above)
    return levels


def _find_table(name: str, levels: Sequence[Path]) -> Path:
    table = find_table(name, levels)
    if table is None:
        raise DataError(
            f"{levels[0]}: {name} is missing; it belongs beside curated_data/: download it from the "
            "data set's page"
        )
    return table


def find_table(name: str, levels: Sequence[Path]) -> Path | None:
    """The table called `name` on one of the levels, or None.

    Raises:
      DataError: it is on two levels with different content.
    """
    paths = [level / name for level in levels if (level / name).is_file()]
    contents = {hashlib.sha256(path.read_bytes()).digest() for path in paths}
    if len(contents) > 1:
        raise DataError(f"{' and '.join(map(str, paths))} differ; keep the one of your release")
    return paths[0] if paths else None


def read_rows(layout: KaggleLayout) -> list[KaggleRow]:
    """All rows of the three tables: class by class, in file order.

    Raises:
      DataError: for an unreadable encoding, a missing column, a row of the wrong length.
    """
    return [
        row for label, path in enumerate(layout.tables) for row in read_table(path, label=label)
    ]


def read_table(path: Path, *, label: int) -> list[KaggleRow]:
    """The rows of one table, whose class is `label` (an index into `CLASS_NAMES`).

    A table of only its header belongs to a set without that class.

    Raises:
      DataError: as `read_rows`.
    """
    reader = csv.reader(io.StringIO(_decode(path), newline=""))
    header = next(reader, [])
    column = _column_positions(header, path=path)
    rows = []
    try:
        for values in reader:
            if len(values) not in (0, len(header)):
                raise csv.Error(f"{len(values)} values, the header has {len(header)}")
            if values:
                cells = {name: tidy(values[index]) for name, index in column.items()}
                rows.append(_make_row(cells, label=label))
    except csv.Error as error:
        raise DataError(
            f"{path}: damaged in the row ending in line {reader.line_num} ({error}); download the "
            "table again"
        ) from error
    return rows


def _decode(path: Path) -> str:
    content = path.read_bytes()
    for encoding in ENCODINGS:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise DataError(f"{path}: neither {' nor '.join(ENCODINGS)}; download the table again")


def _column_positions(header: Sequence[str], *, path: Path) -> dict[str, int]:
    positions = {_header_key(name): index for index, name in enumerate(header)}
    missing = [name for name in COLUMNS if _header_key(name) not in positions]
    if missing:
        raise DataError(
            f"{path}: no column {', '.join(map(repr, missing))}; found {', '.join(header) or 'none'};"
            " restore the name of the release (comma-separated)"
        )
    columns = [*COLUMNS, *(name for name in REPORT_COLUMNS if _header_key(name) in positions)]
    return {name: positions[_header_key(name)] for name in columns}


def _header_key(name: str) -> str:
    return " ".join(tidy(name).casefold().replace("_", " ").split())


def _make_row(values: dict[str, str], *, label: int) -> KaggleRow:
    country = values["Country"]
    gender = values["Gender"].upper()
    return KaggleRow(
        file_name=values["File name"],
        label=label,
        patient_id=values["Patient ID"],
        country="" if country in MISSING else country,
        age=parse_age(values["Age"]),
        gender=gender if gender in ("M", "F") else "",
        report=join_report(values),
    )


def join_report(cells: Mapping[str, str]) -> str:
    """The texts of `REPORT_COLUMNS` in one; '' where there are none."""
    texts = [tidy(cells.get(name)) for name in REPORT_COLUMNS]
    return " ".join(text for text in texts if text not in MISSING)


def parse_age(text: str) -> int:
    """Age in whole years, or -1.

    `-`, '' and `0` (ten MedSeg rows) mean missing. A DICOM spelling (`053Y`) and a float left by a
    spreadsheet (`53.0`) are understood; anything else, or beyond 120, is unknown.
    """
    text = text.removesuffix("Y").removesuffix(".0")
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) <= 120 else -1
