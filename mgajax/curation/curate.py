"""Builds the curated set from the downloads of the seven archives.

    OUT/curated_data/{1NonCOVID,2COVID,3CAP}/*.png     OUT/masks/*.png
    OUT/meta_data_{normal,covid,cap}.csv               the layout of the published set
    OUT/catalogue.{csv,parquet}                        a row for each slice: how it was made
    OUT/summary.json                                   counts, and all findings
    OUT/curation/                                      finished work, see `journal`

Units are read by processes, each holding one volume; a file that cannot be read is reported,
counted and left out.
"""

import concurrent.futures
import dataclasses
import functools
import hashlib
import itertools
import json
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from mgajax.curation.archives import READERS
from mgajax.curation.archives.archive import RawSlice, ReadOptions, Unit
from mgajax.curation.archives.packed import list_files
from mgajax.curation.curated_tables import write_tables
from mgajax.curation.findings import Finding, Findings, count_groups, findings_json
from mgajax.curation.journal import CuratedSlice, Journal, UnitRecord, digest_inputs
from mgajax.curation.kaggle_layout import CLASS_FOLDERS
from mgajax.curation.patient_ids import patient_key
from mgajax.curation.rendering import StoredOrientation, render
from mgajax.curation.selection import MOST_ALIKE, Ruling, select
from mgajax.errors import ConfigError, DataError, nearest, quantity
from mgajax.files import write_bytes
from mgajax.imaging.lungs import LungRule
from mgajax.imaging.windows import Window
from mgajax.progress import track
from mgajax.schema import CLASS_NAMES


@dataclass(frozen=True)
class CurationSettings:
    """The settings of all slices of one output folder.

    Attributes:
      window: None: the stretch of the published set; see `rendering`.
      orientation: "published", or "upright" for all.
      options: of the readers.
      rulings: a radiologist's decisions, by file name; they override every label and rule.
      lung_rule, most_alike: see `selection`; for slices without a label of the source.
    """

    window: Window | None = None
    orientation: StoredOrientation = "published"
    options: ReadOptions = field(default_factory=ReadOptions)
    rulings: Mapping[str, Ruling] = field(default_factory=dict)
    lung_rule: LungRule = field(default_factory=LungRule)
    most_alike: float = MOST_ALIKE

    def to_json(self) -> dict[str, Any]:
        """The settings as plain JSON types; rulings by their hash."""
        rulings = {name: dataclasses.astuple(ruling) for name, ruling in self.rulings.items()}
        text = json.dumps(rulings, sort_keys=True)
        options = dataclasses.asdict(self.options)
        del options["labels"]
        return {
            "window": "published" if self.window is None else str(self.window),
            "orientation": self.orientation,
            **options,
            "rulings": hashlib.sha256(text.encode()).hexdigest() if rulings else "",
            **{
                f"lung_rule.{key}": value
                for key, value in dataclasses.asdict(self.lung_rule).items()
            },
            "most_alike": self.most_alike,
        }


@dataclass(frozen=True)
class CurationReport:
    """The result of a curation.

    Attributes:
      units, skipped: all pieces of work, and those that an earlier run had finished.
      slices, patients, masked: numbers of OUT.
      by_group: slices by `"<class>/<source>"`.
      findings: by slug, as `findings.findings_json`.
    """

    units: int
    skipped: int
    slices: int
    patients: int
    masked: int
    by_group: Mapping[str, int]
    findings: Mapping[str, Any]

    @property
    def damaged(self) -> int:
        """Names with a finding that counts as damage."""
        return sum(finding["count"] for finding in self.findings.values() if finding["damage"])


def curate(
    raw: Path,
    *,
    out: Path,
    sources: Sequence[str] = (),
    settings: CurationSettings | None = None,
    workers: int = 1,
) -> CurationReport:
    """Read the archives under `raw` and write the curated set to `out`, or continue there.

    Args:
      raw: the folder that holds the downloads, unpacked or zipped, in any arrangement.
      out: where the set goes.
      sources: which of `SOURCES` to read; none: all.
      settings: None: as published.
      workers: processes, each holding at most one volume in memory; 1 works in this one.

    Raises:
      ConfigError: an unknown source, or `out` was made with other settings.
      DataError: no archive under `raw`, or a table that an archive cannot be read without.
    """
    settings = settings or CurationSettings()
    findings = Findings()
    units = find_units(raw, sources=sources, settings=settings, findings=findings)
    journal = Journal(out, settings=settings.to_json())
    for folder in (*(f"curated_data/{name}" for name in CLASS_FOLDERS), "masks"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    remaining = [unit for unit in units if journal.finished(unit) is None]
    work = functools.partial(curate_unit, journal=journal, settings=settings)
    for _ in track(
        _work_through(work, remaining, workers=workers),
        description="curating",
        total=len(remaining),
    ):
        pass
    return _conclude(
        journal, findings=findings, units=len(units), skipped=len(units) - len(remaining)
    )


def find_units(
    raw: Path, *, sources: Sequence[str], settings: CurationSettings, findings: Findings
) -> list[Unit]:
    """The units under `raw`, source by source.

    Raises:
      ConfigError, DataError: see `curate`.
    """
    for source in sources:
        if source not in READERS:
            raise ConfigError(f"source {source!r}: {nearest(source, tuple(READERS))}")
    files = list_files(raw, findings=findings)
    labels = {name: ruling.keep for name, ruling in settings.rulings.items()}
    options = dataclasses.replace(settings.options, labels=labels)
    units = [
        unit
        for source in sources or READERS
        for unit in READERS[source](files, options=options, findings=findings)
    ]
    if not units:
        refused = findings.names(Finding.REFUSED_ARCHIVE)
        damage = (
            f"; {quantity(len(refused), 'zip')} cannot be read, such as {refused[0]}"
            if refused
            else ""
        )
        raise DataError(
            f"{raw}: nothing of {', '.join(sources or READERS)} in {quantity(len(files), 'file')}; give the "
            f"folder that holds the downloads, with their folders' own names{damage}"
        )
    return units


def curate_unit(unit: Unit, *, journal: Journal, settings: CurationSettings) -> None:
    """Read, select, render and write one unit, and record it as finished."""
    journal.forget(unit)
    findings = Findings()
    rows: list[CuratedSlice] = []
    counter = itertools.count()
    slices = (slice_ for slice_, _ in zip(unit.read(findings), counter, strict=False))
    try:
        for slice_, reason in _select(slices, settings=settings):
            rows.append(_write_slice(slice_, reason=reason, out=journal.out, settings=settings))
    except DataError as error:
        findings.note(Finding.DAMAGED_SOURCE, str(error))
    if not rows and not findings.damaged():
        findings.note(
            Finding.NO_SLICE,
            f"{unit.source}, {unit.name}: {quantity(next(counter), 'slice')} read, none is selected by its source "
            "or shows enough lung",
        )
    kinds = {kind: findings.names(kind) for kind in Finding if findings.names(kind)}
    journal.write(
        unit, UnitRecord(unit.source, unit.name, digest_inputs(unit), tuple(rows), findings=kinds)
    )


def _work_through(work, remaining: Sequence[Unit], *, workers: int) -> Iterator[None]:
    """Do `work` on every unit, in this process or in `workers` new ones."""
    if workers <= 1 or len(remaining) <= 1:
        yield from map(work, remaining)
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
        futures = [pool.submit(work, unit) for unit in remaining]
        try:
            for future in concurrent.futures.as_completed(futures):
                yield future.result()
        except concurrent.futures.process.BrokenProcessPool as error:
            raise DataError(
                "a worker process ended (out of memory?); run again with fewer --workers: finished "
                "work is kept"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _select(
    slices: Iterator[RawSlice], *, settings: CurationSettings
) -> Iterator[tuple[RawSlice, str]]:
    """The slices to keep, each with the reason.

    From the first slice on that the source does not decide, the whole rest of the volume is held in
    memory, since the rules of `selection` compare its slices.
    """
    volume: list[RawSlice] = []
    for slice_ in slices:
        if volume or slice_.is_selected_by_source is None:
            volume.append(slice_)
        elif slice_.is_selected_by_source:
            yield slice_, slice_.reason
    if not volume:
        return
    lungs = [slice_.lungs for slice_ in volume if slice_.lungs is not None]
    has_lungs = len(lungs) == len(volume)
    undecided = [slice_ for slice_ in volume if slice_.is_selected_by_source is None]
    if not has_lungs and any(slice_.unit != "HU" for slice_ in undecided):
        raise DataError(
            f"{volume[0].origin}: grey levels without labels, in which lungs cannot be found; give a "
            "radiologist's labels"
        )
    selection = select(
        [slice_.values for slice_ in volume],
        annotated=np.array([slice_.is_selected_by_source is True for slice_ in volume]),
        ruled=[False if slice_.is_selected_by_source is False else None for slice_ in volume],
        lungs=lungs if has_lungs else None,
        rule=settings.lung_rule,
        most_alike=settings.most_alike,
    )
    for slice_, keep, reason in zip(volume, selection.keep, selection.reasons, strict=True):
        if keep:
            yield slice_, slice_.reason if slice_.is_selected_by_source else reason


def _write_slice(
    slice_: RawSlice, *, reason: str, out: Path, settings: CurationSettings
) -> CuratedSlice:
    """Render and write one slice and its mask; returns its row of the catalogue."""
    if PurePath(slice_.file_name).name != slice_.file_name:
        raise DataError(f"{slice_.origin}: {slice_.file_name!r} is no file name; left out")
    ruling = settings.rulings.get(slice_.file_name)
    label = slice_.label if ruling is None else ruling.label
    rendered = render(slice_, window=settings.window, orientation=settings.orientation)
    picture = f"curated_data/{CLASS_FOLDERS[label]}/{slice_.file_name}"
    mask = f"masks/{slice_.file_name}" if rendered.mask_png is not None else ""
    write_bytes(rendered.png, out / picture, survives="kill")
    if rendered.mask_png is not None:
        write_bytes(rendered.mask_png, out / mask, survives="kill")
    metadata = dict(slice_.metadata)
    return CuratedSlice(
        file_name=slice_.file_name,
        class_name=CLASS_NAMES[label],
        source=slice_.source,
        patient_id=slice_.patient_id,
        patient=patient_key(slice_.source, slice_.patient_id),
        origin=slice_.origin,
        slice_index=slice_.slice_index,
        position=slice_.position,
        picture=picture,
        mask=mask,
        sha256=hashlib.sha256(rendered.png).hexdigest(),
        height=rendered.height,
        width=rendered.width,
        unit=slice_.unit,
        value_min=float(slice_.values.min()),
        value_max=float(slice_.values.max()),
        rendering=rendered.rendering,
        low=rendered.low,
        high=rendered.high,
        is_flipped=rendered.is_flipped,
        lesion_share=None if slice_.mask is None else float((slice_.mask > 0).mean()),
        selection=reason,
        country=metadata.pop("Country", ""),
        age=metadata.pop("Age", ""),
        gender=metadata.pop("Gender", ""),
        metadata=metadata,
    )


def _conclude(journal: Journal, *, findings: Findings, units: int, skipped: int) -> CurationReport:
    """Write the tables and the summary of all finished units."""
    slices: list[CuratedSlice] = []
    for record in journal.all_finished():
        slices.extend(record.slices)
        for kind, names in record.findings.items():
            for name in names:
                findings.note(kind, name)
    slices.sort(key=lambda row: (CLASS_NAMES.index(row.class_name), row.file_name))
    _check_unique(slices)
    write_tables(slices, out=journal.out)
    report = CurationReport(
        units=units,
        skipped=skipped,
        slices=len(slices),
        patients=len({row.patient for row in slices}),
        masked=sum(bool(row.mask) for row in slices),
        by_group=count_groups(f"{row.class_name}/{row.source}" for row in slices),
        findings=findings_json(findings.summarise()),
    )
    summary = dataclasses.asdict(report) | {"damaged": report.damaged}
    write_bytes(json.dumps(summary, indent=1).encode(), journal.out / "summary.json")
    return report


def _check_unique(slices: Sequence[CuratedSlice]) -> None:
    origins: dict[str, str] = {}
    for row in slices:
        origin = origins.setdefault(row.file_name.casefold(), row.origin)
        if origin != row.origin:
            raise DataError(
                f"{row.file_name}: comes from {origin} and from {row.origin}; leave one out of the "
                "raw folder and give another --out"
            )
