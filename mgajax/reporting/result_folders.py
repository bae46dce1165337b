"""What the folders given to `mgajax report` hold."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from mgajax.errors import ConfigError, DataError
from mgajax.folders import distinct_names


class FolderKind(StrEnum):
    """Kinds of folders, each by the file that marks it."""

    RUN = "config.json"
    EXPERIMENT = "results.json"
    TUNING = "tuning.json"
    EXPLANATION = "scores.csv"


@dataclass(frozen=True)
class ResultFolder:
    """A folder to report, and its name on the pages."""

    kind: FolderKind
    path: Path
    name: str

    @property
    def slug(self) -> str:
        """The name of its page's folder."""
        return self.name.replace("/", "-").replace(" ", "-")


def find_folders(folders: Sequence[Path]) -> list[ResultFolder]:
    """What each folder holds, in the given order, each once.

    A folder that holds nothing itself stands for those directly below it that do.

    Raises:
      ConfigError: no such folder, or nothing in it that can be reported.
    """
    paths = dict.fromkeys(path for folder in folders for path in _expand(folder))
    names = distinct_names([path.resolve() for path in paths])
    return [
        ResultFolder(kind, path, name)
        for path, name in zip(paths, names, strict=True)
        if (kind := _kind(path)) is not None
    ]


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object; None where there is no such file.

    Raises:
      DataError: damaged.
    """
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: damaged ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds {type(content).__name__}, expected an object")
    return content


def _kind(folder: Path) -> FolderKind | None:
    return next((kind for kind in FolderKind if (folder / kind).is_file()), None)


def _expand(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise ConfigError(f"--workdir {folder}: no such folder; give runs of `mgajax train`")
    if _kind(folder) is not None:
        yield folder
        return
    children = [path for path in sorted(folder.iterdir()) if path.is_dir() and _kind(path)]
    if not children:
        raise ConfigError(
            f"--workdir {folder}: neither it nor a folder in it holds {', '.join(FolderKind)}; give runs "
            "of `mgajax train`, or what `mgajax experiment`, `tune` or `explain` wrote"
        )
    yield from children
