"""Durations of the stages other than training, stored beside their results for later calls."""

import json
import statistics
from pathlib import Path

from mgajax.files import write_json
from mgajax.reporting.tables.measurements import Measurement

SUFFIX = ".seconds.json"
TABLE = "What the other stages took"


class StageTimes:
    """The stages, and the files with their seconds."""

    def __init__(self) -> None:
        """Start without stages."""
        self._files: dict[str, dict[Path, None]] = {}

    def count(self, stage: str, file: Path) -> None:
        """Count one execution of a stage, now or in an earlier call.

        Args:
          stage: its name in the results.
          file: that of its seconds, if they were measured.
        """
        self._files.setdefault(stage, {})[file] = None

    def add(self, stage: str, file: Path, *, seconds: float, goes_on: bool = False) -> None:
        """Count one execution of a stage, and store its seconds.

        Args:
          stage, file: see `count`.
          seconds: of this call.
          goes_on: an earlier call started it; if that one was not measured, the total is unknown.
        """
        self.count(stage, file)
        before = read_seconds(file) if goes_on else 0.0
        if before is not None:
            write_json({"seconds": before + seconds}, file)

    def rows(self) -> list[Measurement]:
        """How often each stage was executed, with mean and sum of its seconds."""
        rows = []
        for stage, files in self._files.items():
            seconds = [took for file in files if (took := read_seconds(file)) is not None]
            values = {
                "Times": float(len(files)),
                "Seconds each": statistics.mean(seconds) if seconds else None,
                "Seconds": sum(seconds) if len(seconds) == len(files) else None,
            }
            unknown = len(files) - len(seconds)
            note = f"{unknown} of {len(files)} times not measured" if unknown else ""
            rows += [
                Measurement(TABLE, stage, heading, value=value, scale="number", note=note)
                for heading, value in values.items()
            ]
        return rows


def read_seconds(file: Path) -> float | None:
    """The seconds in a file; None without such a file."""
    try:
        return float(json.loads(file.read_text(encoding="utf-8"))["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
