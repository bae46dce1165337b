"""The record of a curation, so that it can be interrupted and continued.

    OUT/curation/settings.json            the settings of all slices in OUT
    OUT/curation/units/<source>/*.json    one finished unit each: its slices and findings

A record is written after the unit's pictures, in one step. A unit is done again if its record or a
picture is missing, if its files or labels are not those of the record, or if something in it was
damaged (the file may have been replaced).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mgajax.curation.archives.archive import Unit
from mgajax.curation.findings import Finding
from mgajax.errors import ConfigError, DataError
from mgajax.files import write_bytes

FOLDER = "curation"


@dataclass(frozen=True)
class CuratedSlice:
    """One row of the catalogue.

    Attributes:
      file_name, class_name, source, patient_id: as in the published set.
      patient: key of the person, double identities merged.
      origin, slice_index, position: see `RawSlice`.
      picture, mask: paths inside OUT; '' where there is no mask.
      sha256: of the picture's bytes.
      height, width: in pixels.
      unit, value_min, value_max: of the source's values.
      rendering, low, high, is_flipped: see `Rendering`.
      lesion_share: share of the pixels that the mask marks; None without a mask.
      selection: why it was taken.
      country, age, gender: '' where unknown.
      metadata: the other texts, by column of the published tables.
    """

    file_name: str
    class_name: str
    source: str
    patient_id: str
    patient: str
    origin: str
    slice_index: int | None
    position: int | None
    picture: str
    mask: str
    sha256: str
    height: int
    width: int
    unit: str
    value_min: float
    value_max: float
    rendering: str
    low: float
    high: float
    is_flipped: bool
    lesion_share: float | None
    selection: str
    country: str
    age: str
    gender: str
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class UnitRecord:
    """A finished unit: its slices, and the names of its findings, by kind."""

    source: str
    name: str
    inputs: str
    slices: tuple[CuratedSlice, ...]
    findings: Mapping[Finding, tuple[str, ...]]

    @property
    def is_damaged(self) -> bool:
        """Whether anything in it was damaged."""
        return any(kind.is_damage for kind in self.findings)


class Journal:
    """The record of one output folder."""

    def __init__(self, out: Path, *, settings: Mapping[str, Any]) -> None:
        """Begin or continue the record of `out`.

        Raises:
          ConfigError: `out` holds slices made with other settings.
        """
        self.out = out
        self._units = out / FOLDER / "units"
        self._units.mkdir(parents=True, exist_ok=True)
        path = out / FOLDER / "settings.json"
        plain_settings = json.loads(json.dumps(settings))
        if path.exists():
            _check_settings(json.loads(path.read_text()), plain_settings, out=out)
        else:
            write_bytes(json.dumps(plain_settings, indent=1).encode(), path)

    def finished(self, unit: Unit) -> UnitRecord | None:
        """The record of `unit`, unless it has to be done again."""
        record = self._read(self._path(unit))
        if record is None or record.inputs != digest_inputs(unit) or record.is_damaged:
            return None
        files = [name for row in record.slices for name in (row.picture, row.mask) if name]
        return record if all((self.out / name).is_file() for name in files) else None

    def forget(self, unit: Unit) -> None:
        """Remove the record of `unit`, and the files that it names."""
        path = self._path(unit)
        record = self._read(path)
        for row in record.slices if record else ():
            for name in filter(None, (row.picture, row.mask)):
                (self.out / name).unlink(missing_ok=True)
        path.unlink(missing_ok=True)

    def write(self, unit: Unit, record: UnitRecord) -> None:
        """Record `unit` as finished."""
        path = self._path(unit)
        path.parent.mkdir(exist_ok=True)
        content = asdict(record) | {
            "findings": {kind.slug: list(names) for kind, names in record.findings.items()}
        }
        write_bytes(json.dumps(content).encode(), path, survives="kill")

    def all_finished(self) -> Iterator[UnitRecord]:
        """Every record in OUT, by source and name."""
        for path in sorted(self._units.glob("*/*.json")):
            record = self._read(path)
            if record is not None:
                yield record

    def _path(self, unit: Unit) -> Path:
        return self._units / unit.source / f"{quote(unit.name, safe='')}.json"

    def _read(self, path: Path) -> UnitRecord | None:
        try:
            content = json.loads(path.read_text())
            slices = tuple(CuratedSlice(**row) for row in content.pop("slices"))
            findings = {
                _KINDS[slug]: tuple(names) for slug, names in content.pop("findings").items()
            }
            return UnitRecord(slices=slices, findings=findings, **content)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None


def digest_inputs(unit: Unit) -> str:
    """A hash of the inputs of `unit`: files with their versions, labels and table rows."""
    return hashlib.sha256(repr(getattr(unit.read, "args", unit.name)).encode()).hexdigest()


_KINDS: dict[str, Finding] = {kind.slug: kind for kind in Finding}


def _check_settings(before: Mapping[str, Any], settings: Mapping[str, Any], *, out: Path) -> None:
    for key, value in settings.items():
        if before.get(key) != value:
            raise ConfigError(
                f"{out}: its slices were made with {key} {before.get(key)!r}, not {value!r}; give "
                "another --out, or delete this one"
            )
    if len(before) != len(settings):
        raise DataError(f"{out}: made by another version; give another --out, or delete this one")
