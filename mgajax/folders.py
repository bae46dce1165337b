"""Walking through folders in the natural order of names, and names for what is in them."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

CLUTTER = frozenset({"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini"})
"""Files that desktops leave in folders, in lower case; hidden files are clutter, too."""

LONGEST_NAME = 100
"""Bytes of a name made from a user's text; file systems take 255."""


def is_clutter(name: str) -> bool:
    """Whether a file or folder is a desktop's own: hidden, or one of `CLUTTER`."""
    return name.startswith(".") or name.casefold() in CLUTTER


def natural_order(name: str) -> list[tuple[int, str]]:
    """A key that keeps the numbers in names in their order: slice_9 before slice_10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in _parts(name)]


def _parts(name: str) -> list[str]:
    return re.split(r"(\d+)", name)


def walk(
    folder: Path,
    *,
    refused: Callable[[OSError], None],
    skip: Callable[[Path], bool] = lambda folder: False,
) -> Iterator[Path]:
    """Every file below a folder, clutter passed over.

    Linked folders are walked through as if they stood there, so that a path always begins with
    `folder`; a link to a folder that it lies in is not followed.

    Args:
      refused: takes the error of each folder that cannot be read.
      skip: tells the folders that are passed over with all that is in them.
    """
    yield from _walk(folder, inside=(), refused=refused, skip=skip)


def _walk(
    folder: Path,
    *,
    inside: Sequence[tuple[int, int]],
    refused: Callable[[OSError], None],
    skip: Callable[[Path], bool],
) -> Iterator[Path]:
    if skip(folder):
        return
    try:
        status = folder.stat()
        entries = sorted(os.scandir(folder), key=lambda entry: natural_order(entry.name))
    except OSError as error:
        refused(error)
        return
    identity = (status.st_dev, status.st_ino)
    if identity in inside:
        return
    folders = []
    for entry in entries:
        if is_clutter(entry.name):
            continue
        if _is_folder(entry):
            folders.append(folder / entry.name)
        else:
            yield folder / entry.name
    for path in folders:
        yield from _walk(path, inside=(*inside, identity), refused=refused, skip=skip)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself; opening it as a file gives the error
        return False


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """The last part of each path, and as many before it as tell it from the others."""
    lengths = dict.fromkeys(paths, 1)
    while True:
        names = {path: "/".join(path.parts[-length:]) for path, length in lengths.items()}
        count = Counter(names.values())
        ambiguous = [
            path
            for path, name in names.items()
            if count[name] > 1 and lengths[path] < len(path.parts)
        ]
        if not ambiguous:
            return [names[path] for path in paths]
        for path in ambiguous:
            lengths[path] += 1


def safe_name(text: str) -> str:
    """A text as the name of a file on any system: letters, digits, `_`, `.` and `-`, not too long."""
    plain = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", text)).strip("._")
    return plain.encode()[:LONGEST_NAME].decode(errors="ignore") or "unnamed"
