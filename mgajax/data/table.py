"""A built data set as columns, and its pictures as stored PNG bytes.

No other module of the package needs tensorflow-datasets, and it is imported only when a set is read: a
machine that trains from a prepared cache does not need it. TensorFlow itself is never needed.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int8

from mgajax.data.columns import SliceColumns
from mgajax.errors import DataError
from mgajax.schema import CLASS_NAMES, MASK_ORIGINS, SOURCES, SPLITS

ENCODED = ("image", "lesion_mask")
CODED = {"label": CLASS_NAMES, "source": SOURCES, "mask_origin": MASK_ORIGINS}
INCOMPLETE = "incomplete"
"""In the name of a version folder that TFDS has not completed."""
TEXT = ("patient", "file_name", "flags")
PERSONAL = ("country", "age", "gender")


@dataclasses.dataclass(frozen=True)
class Person:
    """The person of a slice: '' and -1 where unknown, age in years."""

    country: str
    age: int
    gender: str


@dataclasses.dataclass(frozen=True, eq=False)
class SliceTable(SliceColumns):
    """One row a slice, in the order train, validation, test of the built data set.

    Attributes:
      mask_origins: str [n], names of `mgajax.schema.MASK_ORIGINS`.
      built_split: int8 [n], code of the split that the builder chose.
      fingerprint: sha256 of every row's columns and stored pictures, in order.
      directory: of the data set.
      flags: str [n], comma-joined notes of the builder such as "upside_down"; all "" by default.

    The others are those of `SliceColumns`.
    """

    mask_origins: np.ndarray
    built_split: Int8[np.ndarray, "n"]
    fingerprint: str
    directory: Path
    flags: np.ndarray = dataclasses.field(default_factory=lambda: np.array([], dtype=np.str_))

    def __post_init__(self) -> None:
        if len(self.flags) == 0:
            object.__setattr__(self, "flags", np.full(len(self), "", dtype=np.str_))
        super().__post_init__()


def read_table(directory: Path | str) -> SliceTable:
    """Read all columns of a built data set, and fingerprint its content.

    Args:
      directory: the data set's version folder (`.../ct_phantom/default/1.0.0`), or any folder above
        it that holds no other data set.

    Raises:
      DataError: no such folder; no, several or only incomplete data sets in it; a feature is
        missing or has other class names; a record cannot be read.
    """
    folder = dataset_directory(directory)
    digest = hashlib.sha256()
    rows: list[tuple[Any, ...]] = []
    for _, split, record in _records(folder, rows=None):
        codes = [int(record[name]) for name in CODED]
        texts = [_text(record[name]) for name in TEXT]
        rows.append((split, *codes, *texts))
        digest.update(json.dumps(rows[-1]).encode())
        for name in ENCODED:
            digest.update(len(record[name]).to_bytes(8, "little"))
            digest.update(record[name])
    if not rows:
        raise DataError(f"{folder}: 0 records in {', '.join(SPLITS)}; build the data set again")
    splits, labels, sources, origins, patients, file_names, flags = zip(*rows, strict=True)
    return SliceTable(
        labels=np.array(labels, np.int32),
        patients=np.array(patients, np.str_),
        sources=np.array(SOURCES)[list(sources)],
        file_names=np.array(file_names, np.str_),
        mask_origins=np.array(MASK_ORIGINS)[list(origins)],
        built_split=np.array(splits, np.int8),
        fingerprint=digest.hexdigest(),
        directory=folder,
        flags=np.array(flags, np.str_),
    )


def read_people(directory: Path | str) -> list[Person]:
    """The person of each slice, in the table's order.

    Args:
      directory: as for `read_table`.

    Raises:
      DataError: as for `read_table`.
    """
    return [
        Person(_text(record["country"]), int(record["age"]), _text(record["gender"]))
        for _, _, record in _records(dataset_directory(directory), rows=None)
    ]


def iter_encoded(
    directory: Path | str, *, rows: Sequence[int] | None = None
) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield (row, image PNG bytes, lesion mask PNG bytes), undecoded, in the table's order.

    Args:
      directory: as for `read_table`.
      rows: which rows; all by default. They are given split by split.
    """
    for row, _, record in _records(dataset_directory(directory), rows=rows):
        yield row, record["image"], record["lesion_mask"]


def signature(directory: Path | str) -> str:
    """A cheap sign of change: sha256 over name, size and time of each file of the data set.

    While it stays the same the content is taken to be the same; when it differs, only
    `read_table(directory).fingerprint` tells.
    """
    place = dataset_directory(directory)
    files = sorted(path for path in place.iterdir() if path.is_file())
    states = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(json.dumps(states).encode()).hexdigest()


def is_built(directory: Path) -> bool:
    """Whether a built data set, or an interrupted one, is at or below `directory`."""
    return directory.is_dir() and bool(
        (directory / "dataset_info.json").is_file() or _below(directory)
    )


def dataset_name(place: Path) -> str:
    """What a built data set is called: `ct_phantom_tiny`; without the configuration if it is the default.

    Args:
      place: see `dataset_directory`.

    Raises:
      DataError: its description is damaged.
    """
    try:
        info = json.loads((place / "dataset_info.json").read_text(encoding="utf-8"))
        name, config = str(info["name"]), str(info.get("configName") or "default")
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{place}: not a readable data set ({error}); build it again") from error
    return name if config == "default" else f"{name}_{config}"


def dataset_directory(directory: Path | str) -> Path:
    """The one folder at or below `directory` that holds a complete data set.

    Raises:
      DataError: see `read_table`.
    """
    top = Path(directory)
    if not top.is_dir():
        raise DataError(f"{top}: no such folder; expected a built data set (`mgajax build --help`)")
    folders = [top] if (top / "dataset_info.json").is_file() else _below(top)
    complete = [path for path in folders if INCOMPLETE not in path.name]
    if len(complete) == 1:
        return complete[0].resolve()
    if complete:
        listing = ", ".join(str(path.relative_to(top)) for path in complete)
        raise DataError(f"{top}: holds {len(complete)} data sets ({listing}); name one of them")
    if folders:
        raise DataError(f"{top}: holds only an interrupted build ({folders[0]}); build it again")
    raise DataError(f"{top}: no dataset_info.json in or below it; expected a built data set")


def _below(top: Path) -> list[Path]:
    return sorted(path.parent for path in top.rglob("dataset_info.json"))


def _records(
    folder: Path, *, rows: Sequence[int] | None
) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yield (row, split code, raw record) of `rows`, or of all, over the splits end to end."""
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(folder)
    except Exception as error:  # tfds raises many kinds for a damaged description
        raise DataError(f"{folder}: not a readable data set ({error}); build it again") from error
    _check_features(folder, builder.info.features)
    skip = tfds.decode.SkipDecoding()
    decoders = {
        name: skip
        for name, feature in builder.info.features.items()
        if isinstance(feature, tfds.features.Image)
    }
    first = 0
    for code, split in enumerate(SPLITS):
        count = builder.info.splits[split].num_examples if split in builder.info.splits else 0
        numbers = (
            range(count)
            if rows is None
            else [row - first for row in rows if 0 <= row - first < count]
        )
        if numbers:
            try:
                source = builder.as_data_source(split=split, decoders=decoders)
                for number in numbers:
                    yield first + number, code, source[number]
            except (ValueError, RuntimeError, OSError, IndexError) as error:
                raise DataError(
                    f"{folder}: split {split!r} cannot be read ({error}); expected {count} records; "
                    f"build the data set again"
                ) from error
        first += count


def _check_features(folder: Path, features: Any) -> None:
    expected = (*ENCODED, *CODED, *TEXT, *PERSONAL)
    if missing := [name for name in expected if name not in features]:
        raise DataError(
            f"{folder}: feature {missing[0]!r} is missing (found {', '.join(features)}); expected "
            "the record of covid_ct_slices, covid_ct_lesions or ct_phantom"
        )
    for name, names in CODED.items():
        if (stored := tuple(features[name].names)) != names:
            raise DataError(
                f"{folder}: {name} has the names {stored}; expected {names}, in this order"
            )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
