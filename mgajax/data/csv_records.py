"""The records of a user's CSV, with the errors that all such tables share."""

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mgajax.errors import DataError

DELIMITERS = ",;\t"


def csv_records(
    path: Path,
    *,
    required: Sequence[str],
    expected: str,
    content: str,
    key: Callable[[str], str] = str.strip,
) -> Iterator[tuple[int, dict[str, str]]]:
    """Line numbers and records of a CSV, keys and cells stripped; empty rows are passed over.

    Args:
      path: UTF-8 with a header (a byte-order mark is accepted); cells are parted by what parts the
        header: commas, semicolons or tabs.
      required: columns that must be there.
      expected: the columns, for messages.
      content: what the table holds, for messages.
      key: makes a column's name of its heading.

    Raises:
      DataError: no such file, no UTF-8, no CSV, or a column is missing.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            delimiter = max(DELIMITERS, key=first.count)
            reader = csv.DictReader(file, restval="", restkey="", delimiter=delimiter)
            header = [key(name) for name in reader.fieldnames or ()]
            for column in required:
                if column not in header:
                    raise DataError(
                        f"{path}: column {column!r} is missing, found {header}; expected {expected}"
                    )
            reader.fieldnames = header
            for record in reader:
                cells = {name: "".join(value).strip() for name, value in record.items()}
                if any(cells.values()):
                    yield reader.line_num, cells
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason}); save it as UTF-8 CSV") from error
    except csv.Error as error:
        raise DataError(f"{path}: not a CSV file ({error}); save it as UTF-8 CSV") from error
    except OSError as error:
        raise DataError(f"{path}: cannot read {content} ({error.strerror})") from error
