"""What one test process makes and all others of the session read: built sets, runs, programs.

A session is one call of pytest with its workers, or all calls that find the folder's name in
`MGAJAX_TESTS`, such as the stages of `.ci/run`.
"""

import atexit
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

KEY = "MGAJAX_TESTS"

if KEY not in os.environ:
    os.environ[KEY] = tempfile.mkdtemp(prefix="mgajax-tests-")
    atexit.register(shutil.rmtree, os.environ[KEY], ignore_errors=True)

FOLDER = Path(os.environ[KEY])
COMPILED = Path(os.environ.get("MGAJAX_TESTS_COMPILED", FOLDER / "compiled"))
"""Programs; a folder of one's own keeps them for the next session."""

NARROW = Path(__file__).parent / "narrow"
"""Shipped configurations with networks of a few channels, for all that is not about the network."""


def made_once(name: str, make: Callable[[Path], Any]) -> Path:
    """A folder that the first process fills with `make`; other processes wait, then read.

    No test may change it: see `changed_files`.
    """
    folder, listing = FOLDER / name, FOLDER / f"{name}.json"
    with (FOLDER / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not listing.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            listing.write_text(json.dumps(_files(folder)))
    return folder


def changed_files(name: str) -> list[str]:
    """Files that came, went or were written since `made_once` made them."""
    before = json.loads((FOLDER / f"{name}.json").read_text())
    after = _files(FOLDER / name)
    return sorted(
        file for file in before.keys() | after.keys() if before.get(file) != after.get(file)
    )


def _files(folder: Path) -> dict[str, list[int]]:
    """Size and time of every file."""
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            status = path.stat()
            files[str(path.relative_to(folder))] = [status.st_size, status.st_mtime_ns]
    return files
