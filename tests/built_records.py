"""The records of a built data set, decoded."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from mgajax.schema import SPLITS


def records(directory: Path) -> dict[str, dict[str, Any]]:
    """All records by file name, with the split they stand in."""
    sources = tfds.builder_from_directory(str(directory)).as_data_source()
    by_name = {}
    for split in SPLITS:
        for record in sources[split]:
            by_name[record["file_name"].decode()] = {**record, "split": split}
    return by_name


def assert_same_content(first: Path, other: Path) -> None:
    """Same records in the same order."""
    left, right = records(first), records(other)
    assert list(left) == list(right)
    for name, record in left.items():
        for key, value in record.items():
            np.testing.assert_array_equal(value, right[name][key], err_msg=f"{name} {key}")
