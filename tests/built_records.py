"""The records of a built data set, decoded."""

from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from mgajax.schema import SPLITS


def records(directory: Path) -> dict[str, dict[str, Any]]:
    """All records by file name, with the split they stand in."""
    sources = tfds.builder_from_directory(str(directory)).as_data_source()
    found = {}
    for split in SPLITS:
        for record in sources[split]:
            found[record["file_name"].decode()] = {**record, "split": split}
    return found
