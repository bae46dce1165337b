"""The contents of a data set, curated or built: slices, splits, pictures.

Above the rooms that read the two forms: `curation` a curated folder, `data` a built data set.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mgajax.curation.kaggle_layout import CLASS_FOLDERS, folder_levels
from mgajax.curation.names import canonical_name
from mgajax.curation.statistics import SliceFacts, is_curated, read_facts
from mgajax.data.table import iter_encoded, read_people, read_table
from mgajax.folders import is_clutter
from mgajax.schema import SPLITS


@dataclass(frozen=True)
class Contents:
    """A data set to describe.

    Attributes:
      facts: one a slice.
      split_of: canonical file name -> split; empty where the set has no splits of its own.
      locations: canonical file name -> where its picture lies, for messages; only those that are there.
      picture: canonical file name -> the encoded picture.
      is_built: whether patients stand for cases, ids of the archives being unknown.
    """

    facts: Sequence[SliceFacts]
    split_of: Mapping[str, str]
    locations: Mapping[str, str]
    picture: Callable[[str], bytes]
    is_built: bool


def read_contents(folder: Path) -> Contents:
    """Read a curated folder's tables (`curation.statistics.read_facts`), or a built data set.

    Raises:
      DataError: it is neither, or damaged.
    """
    if not is_curated(folder) and any(folder.rglob("dataset_info.json")):
        return _built(folder)
    pictures = _pictures(folder)
    return Contents(
        facts=read_facts(folder),
        split_of={},
        locations={name: str(path) for name, path in pictures.items()},
        picture=lambda name: pictures[name].read_bytes(),
        is_built=False,
    )


def _built(folder: Path) -> Contents:
    table = read_table(folder)
    directory = table.directory
    names = [canonical_name(name) for name in table.file_names.tolist()]
    rows = {name: row for row, name in enumerate(names)}
    facts = [
        SliceFacts(
            file_name=str(table.file_names[row]),
            source=str(table.sources[row]),
            label=int(table.labels[row]),
            case=str(table.patients[row]),
            patient=str(table.patients[row]),
            country=person.country,
            age=person.age,
            gender=person.gender,
            report="",
            is_trusted=True,  # what the published tables invent is not built
            has_mask=table.mask_origins[row] == "annotated",
        )
        for row, person in enumerate(read_people(directory))
    ]
    return Contents(
        facts=facts,
        split_of={name: SPLITS[table.built_split[row]] for name, row in rows.items()},
        locations={name: f"{directory}, record {row}" for name, row in rows.items()},
        picture=lambda name: next(iter_encoded(directory, rows=[rows[name]]))[1],
        is_built=True,
    )


def _pictures(folder: Path) -> dict[str, Path]:
    """Canonical name -> picture, in the class folders of a copy; {} where only tables are there."""
    pictures: dict[str, Path] = {}
    for level in folder_levels(folder):
        for name in CLASS_FOLDERS:
            if (level / name).is_dir():
                paths = sorted(p for p in (level / name).iterdir() if not is_clutter(p.name))
                pictures |= {canonical_name(path.name): path for path in paths}
    return pictures
