"""Prepared slices on disk: prepared once, read as memory maps by every later run.

A cache is a folder of `.npy` files and a `manifest.json`. It belongs to one data set and one
`Preparation`. It is complete or absent, since it is renamed into place, and its arrays never change. Only
its manifest changes, by one rename, when the data set's files have new times and the same content. Of
several processes that need one cache, one builds it, the others wait.

At each opening all files are hashed (about a second a gigabyte a core, of data that training reads into
memory anyway), so a flipped bit or a short file is found before training.
"""

import dataclasses
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int32, UInt8

from mgajax.data import array_store
from mgajax.data.lung_masks import stored_lung_masks
from mgajax.data.preparation import Preparation, PreparedSlice, decode, prepare
from mgajax.data.table import SliceTable, dataset_directory, iter_encoded, read_table, signature
from mgajax.errors import DataError
from mgajax.locks import locked
from mgajax.progress import map_ordered, say, track

FORMAT: int = 1
CACHE_FOLDER: str = ".mgajax-cache"
MAX_DAMAGED: float = 0.05
"""Above this share of undecodable slices a data set is refused."""

DAMAGED: str = "damaged"


@dataclasses.dataclass(frozen=True, eq=False)
class PreparedSet:
    """All slices of a data set, ready for a model, in the table's order.

    Attributes:
      table: labels, patients and the rest.
      images: uint8 [n, s, s, 1], usually a read-only memory map.
      masks: uint8 [n, s, s, 1], share of lesion in each pixel times 255.
      settings: of the preparation.
      fingerprint: sha256 of the table's fingerprint and the settings.
      boxes: int32 [n, 4], top, left, bottom, right of what was cut out of each slice.
      usable: bool [n], False for a slice that could not be decoded (its pictures are zero).
      notes: str [n], comma-joined flags of the preparation (`PreparedSlice.flags`).
      lungs: uint8 [n, s, s, 1], see `find_lung_masks`; None where they were not asked for.
    """

    table: SliceTable
    images: UInt8[np.ndarray, "n s s 1"]
    masks: UInt8[np.ndarray, "n s s 1"]
    settings: Preparation
    fingerprint: str
    boxes: Int32[np.ndarray, "n 4"]
    usable: Bool[np.ndarray, "n"]
    notes: np.ndarray
    lungs: UInt8[np.ndarray, "n s s 1"] | None = None


def open_prepared_set(
    directory: Path | str,
    *,
    settings: Preparation,
    cache_dir: Path | str | None = None,
    lungs: bool = False,
) -> PreparedSet:
    """The prepared slices of a built data set; they are prepared at the first call.

    Args:
      directory: a built data set, as for `read_table`.
      settings: of the preparation.
      cache_dir: the folder of caches; by default `.mgajax-cache` beside the data set, or the user's
        cache folder when that one is read-only.
      lungs: find the lungs, too, and store them beside the cache.

    Raises:
      DataError: the data set cannot be read, more than `MAX_DAMAGED` of it is damaged, or the cache
        cannot be written.
    """
    dataset_folder = dataset_directory(directory)
    folder = _cache_folder(dataset_folder, settings, cache_dir)
    expected = {"format": FORMAT, "settings": dataclasses.asdict(settings)}
    state = {"signature": signature(dataset_folder)}
    try:
        if array_store.find_problem(folder, expected=expected | state) is not None:
            folder.parent.mkdir(parents=True, exist_ok=True)
            lock = folder.with_name(folder.name + ".lock")
            with locked(lock, guards=f"prepared cache {folder}"):
                # Another process may have built it while this one waited.
                _update(
                    folder,
                    dataset_folder=dataset_folder,
                    expected=expected,
                    state=state,
                    settings=settings,
                )
        prepared = _open(folder, dataset_folder=dataset_folder, settings=settings)
        return _with_lungs(prepared, folder=folder) if lungs else prepared
    except OSError as error:
        raise DataError(
            f"{folder}: the prepared cache cannot be written ({error}); make room or set "
            "--config.data.cache_dir=FOLDER"
        ) from error


def _update(
    folder: Path,
    *,
    dataset_folder: Path,
    expected: dict[str, Any],
    state: dict[str, str],
    settings: Preparation,
) -> None:
    """Build the cache where it is missing or stale; says why when it has to be built again."""
    problem = array_store.find_problem(folder, expected=expected | state)
    if problem is None:
        return
    table = read_table(dataset_folder)
    content = {"fingerprint": table.fingerprint}
    if problem != array_store.ABSENT:
        problem = array_store.find_problem(folder, expected=expected | content)
        if problem is None:  # the files have new times and the same content
            manifest = array_store.read_manifest(folder)
            return array_store.write_manifest(folder, manifest | state)
        say(f"prepared cache {folder}: {problem}; building it again")
    _check_free_space(folder.parent, 2 * len(table) * settings.image_size**2)
    with array_store.replace_folder(folder, described_by=expected | state | content) as fresh:
        columns = _write_pictures(fresh, table=table, settings=settings)
        for name, column in (columns | table.columns()).items():
            np.save(fresh / f"{name}.npy", column, allow_pickle=False)


def _check_free_space(root: Path, size: int) -> None:
    free = shutil.disk_usage(root).free
    if free < size:
        raise OSError(f"needs {size / 1e9:.1f} GB, {free / 1e9:.1f} GB are free")


def _write_pictures(
    fresh: Path, *, table: SliceTable, settings: Preparation
) -> dict[str, np.ndarray]:
    """Prepare every slice into `fresh`; returns the columns boxes, usable and notes."""
    shape = (len(table), settings.image_size, settings.image_size, 1)
    boxes = np.zeros((len(table), 4), np.int32)
    notes: list[str] = []
    damaged: list[str] = []
    prepared = map_ordered(
        lambda job: _prepare_encoded(*job, flags=table.flags[job[0]], settings=settings),
        iter_encoded(table.directory),
    )
    with (
        array_store.RowWriter(fresh / "images.npy", shape=shape) as images,
        array_store.RowWriter(fresh / "masks.npy", shape=shape) as masks,
    ):
        results = track(prepared, description="preparing slices", total=len(table))
        for row, result in enumerate(results):
            if isinstance(result, str):
                damaged.append(f"{table.file_names[row]} ({result})")
                result = _blank_slice(settings)
            boxes[row] = result.box
            notes.append(",".join(result.flags))
            images.write(result.image)
            masks.write(result.mask)
    _report_damaged(damaged, table=table)
    usable = np.array([note != DAMAGED for note in notes])
    return {"boxes": boxes, "usable": usable, "notes": np.array(notes, np.str_)}


def _prepare_encoded(
    row: int, image: bytes, mask: bytes, *, flags: str, settings: Preparation
) -> PreparedSlice | str:
    """One slice from its PNG bytes, or why it cannot be decoded."""
    try:
        pictures = [decode(data, flags=flags, settings=settings) for data in (image, mask)]
        return prepare(pictures[0], pictures[1], settings=settings)
    except DataError as error:
        return str(error)


def _blank_slice(settings: Preparation) -> PreparedSlice:
    empty = np.zeros((settings.image_size, settings.image_size), np.uint8)
    return PreparedSlice(image=empty, mask=empty, box=(0, 0, 0, 0), flags=(DAMAGED,))


def _report_damaged(damaged: list[str], *, table: SliceTable) -> None:
    if not damaged:
        return
    summary = f"{len(damaged)} of {len(table)} slices cannot be decoded: {', '.join(damaged[:5])}"
    if len(damaged) > MAX_DAMAGED * len(table):
        raise DataError(
            f"{table.directory}: {summary}; at most {MAX_DAMAGED:.0%} may be; build the data set again"
        )
    say(f"{table.directory}: {summary}; left out")


def _open(folder: Path, *, dataset_folder: Path, settings: Preparation) -> PreparedSet:
    content = array_store.read_manifest(folder)["fingerprint"]
    names = [Path(name).stem for name in array_store.read_manifest(folder)["files"]]
    pictures = {n: np.load(folder / f"{n}.npy", mmap_mode="r") for n in ("images", "masks")}
    columns = {n: np.load(folder / f"{n}.npy") for n in names if n not in pictures}
    of_preparation = {name: columns.pop(name) for name in ("boxes", "usable", "notes")}
    return PreparedSet(
        table=SliceTable(**columns, fingerprint=content, directory=dataset_folder),
        settings=settings,
        fingerprint=_fingerprint(content, settings),
        **pictures,
        **of_preparation,
    )


def _with_lungs(prepared: PreparedSet, *, folder: Path) -> PreparedSet:
    masks = stored_lung_masks(
        folder.with_name(folder.name + "-lungs"),
        images=prepared.images,
        lesions=prepared.masks,
        fingerprint=prepared.fingerprint,
    )
    return dataclasses.replace(prepared, lungs=masks)


def _fingerprint(content: str, settings: Preparation) -> str:
    text = json.dumps([FORMAT, content, dataclasses.asdict(settings)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _cache_folder(
    dataset_folder: Path, settings: Preparation, cache_dir: Path | str | None
) -> Path:
    """One folder for each data set and settings; beside the data set it can be moved with it."""
    settings_key = hashlib.sha256(json.dumps(dataclasses.asdict(settings)).encode()).hexdigest()[
        :12
    ]
    beside = dataset_folder.parent / CACHE_FOLDER / f"{dataset_folder.name}-{settings_key}"
    if cache_dir is None and (beside.is_dir() or os.access(dataset_folder.parent, os.W_OK)):
        return beside
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mgajax"
    path_key = hashlib.sha256(str(dataset_folder).encode()).hexdigest()[:12]
    return Path(cache_dir or home).resolve() / f"{dataset_folder.name}-{path_key}-{settings_key}"
