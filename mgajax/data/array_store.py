"""A folder of `.npy` files that is complete or absent: written beside, checksummed, renamed into place.

Used by the prepared cache. One process writes while others wait (`locked`). The arrays of a complete
folder never change, so memory maps of them stay valid when it is replaced; only its manifest can
change, by one rename (`write_manifest`).
"""

import concurrent.futures
import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

MANIFEST: str = "manifest.json"
ABSENT: str = "absent"


class RowWriter:
    """Writes a uint8 array `[n, ...]` row by row; a full disk is an exception.

    (Through a memory map of a sparse file it would end the process with SIGBUS.) A context manager;
    leaving it without an exception before all rows are written raises ValueError.
    """

    def __init__(self, path: Path, *, shape: tuple[int, ...]) -> None:
        self._shape, self._written = shape, 0
        self._file = path.open("wb")
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)

    def write(self, row: UInt8[np.ndarray, "..."]) -> None:
        """Append one row."""
        self._file.write(np.ascontiguousarray(row).data)
        self._written += 1

    def __enter__(self) -> "RowWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        with self._file:
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())
        if kind is None and self._written != self._shape[0]:
            raise ValueError(f"{self._file.name}: {self._written} of {self._shape[0]} rows written")


@contextlib.contextmanager
def replace_folder(folder: Path, *, described_by: dict[str, Any]) -> Iterator[Path]:
    """Yield an empty folder for `.npy` files; on a clean exit it becomes `folder`.

    Call it under `locks.locked`. Remains of interrupted writers are removed first; on an exception
    `folder` stays as it was. `described_by` is stored in the manifest, beside the checksums.
    """
    for leftover in folder.parent.glob(f"{folder.name}.writing-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    fresh = folder.with_name(f"{folder.name}.writing-{os.getpid()}")
    old = folder.with_name(f"{folder.name}.writing-{os.getpid()}-old")
    fresh.mkdir()
    try:
        yield fresh
        write_manifest(
            fresh, described_by | {"files": _digests(fresh, sorted(fresh.glob("*.npy")))}
        )
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def find_problem(folder: Path, *, expected: dict[str, Any]) -> str | None:
    """Why `folder` cannot be used; None when it is complete and described by `expected`.

    Every file is read and hashed, in parallel.
    """
    if not folder.is_dir():
        return ABSENT
    try:
        manifest = read_manifest(folder)
        for key, value in expected.items():
            if manifest[key] != value:
                return f"{key} is {manifest[key]!r}, expected {value!r}"
        digests = _digests(folder, [folder / name for name in manifest["files"]])
    except (OSError, ValueError, KeyError) as error:
        return f"damaged ({error})"
    wrong = [name for name, digest in manifest["files"].items() if digests[name] != digest]
    return f"damaged ({', '.join(wrong)}: wrong checksum)" if wrong else None


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest's content.

    Raises:
      OSError, ValueError, KeyError: it is missing, not JSON, or not what was written.
    """
    stored = json.loads((folder / MANIFEST).read_text())
    if _text_digest(stored["content"]) != stored["checksum"]:
        raise ValueError(f"{MANIFEST}: wrong checksum")
    return stored["content"]


def write_manifest(folder: Path, content: dict[str, Any]) -> None:
    """Write the manifest in one step."""
    partial = folder / f"{MANIFEST}.{os.getpid()}"
    partial.write_text(json.dumps({"content": content, "checksum": _text_digest(content)}))
    partial.replace(folder / MANIFEST)


def _text_digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _digests(folder: Path, paths: list[Path]) -> dict[str, str]:
    def digest(path: Path) -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    with concurrent.futures.ThreadPoolExecutor() as pool:
        return {
            path.name: value for path, value in zip(paths, pool.map(digest, paths), strict=True)
        }
