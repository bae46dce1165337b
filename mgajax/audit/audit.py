"""Audits a folder: reads its slices, looks for copies, damage and shortcuts, collects the result."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int32, UInt8

from mgajax.audit.association import associate
from mgajax.audit.audit_result import (
    AuditResult,
    IdentityMatch,
    Pair,
    ReportedSlice,
    SharedPatient,
    SplitPatient,
)
from mgajax.audit.background_shortcut import check_shortcut
from mgajax.audit.candidates import CROPS, LIMIT
from mgajax.audit.copies import SAME, Copy, exact_copies, near_copies
from mgajax.audit.fingerprints import (
    Fingerprint,
    fingerprint_all,
    load_fingerprints,
    store_fingerprints,
)
from mgajax.audit.mask_checks import check_masks, find_shared_patients
from mgajax.audit.slices import AuditSlices, open_slices, split_name
from mgajax.curation.findings import Finding
from mgajax.data.patient_groups import patient_keys
from mgajax.errors import DataError, quantity
from mgajax.schema import CLASS_NAMES, SPLITS

CACHE = "fingerprints.npz"


@dataclass(frozen=True)
class IllustratedAudit:
    """An audit's result, and the thumbnails of its slices.

    Attributes:
      result: what was found.
      thumbnails: of all slices, squeezed into squares.
      shapes: height and width of each slice.
    """

    result: AuditResult
    thumbnails: UInt8[np.ndarray, "n t t"]
    shapes: Int32[np.ndarray, "n 2"]


def audit_folder(
    directory: Path,
    *,
    split: Path | None = None,
    masks: Path | None = None,
    trained_on: Path | None = None,
    cache: Path,
) -> IllustratedAudit:
    """Audit a built data set or a downloaded copy.

    Args:
      directory: see `slices.open_slices`.
      split: a split.csv; the built split by default.
      masks: a folder of lesion masks; the one beside a downloaded copy by default.
      trained_on: what the segmenter of predicted masks was trained on, see `find_shared_patients`.
      cache: a folder that keeps the fingerprints for the next audit.

    Raises:
      DataError: nothing to audit; see also `open_slices`.
    """
    slices = open_slices(directory, split=split)
    shared = find_shared_patients(slices, trained_on) if trained_on else []
    cached = load_fingerprints(cache / CACHE)
    fingerprints = fingerprint_all(slices.contents(), total=len(slices), cached=cached)
    for name, fingerprint in zip(slices.file_names.tolist(), fingerprints, strict=True):
        if fingerprint is None:
            slices.findings.note(Finding.UNDECODABLE, name)
    present = [fingerprint for fingerprint in fingerprints if fingerprint is not None]
    if not present:
        raise DataError(
            f"{directory}: none of {quantity(len(fingerprints), 'picture')} can be decoded"
        )
    if any(fingerprint.content not in cached for fingerprint in present):
        store_fingerprints(
            cache / CACHE, {fingerprint.content: fingerprint for fingerprint in present}.values()
        )
    decoded = slices.select(np.array([fingerprint is not None for fingerprint in fingerprints]))
    shapes = np.stack([fingerprint.shape for fingerprint in present])
    check_masks(decoded, shapes, folder=masks or slices.mask_folder)
    thumbnails = np.stack([fingerprint.thumbnail for fingerprint in present])
    result = _judge(decoded, present, thumbnails, split=split, trained_on=trained_on, shared=shared)
    return IllustratedAudit(result, thumbnails, shapes)


def _judge(
    slices: AuditSlices,
    fingerprints: Sequence[Fingerprint],
    thumbnails: np.ndarray,
    *,
    split: Path | None,
    trained_on: Path | None,
    shared: Sequence[SharedPatient],
) -> AuditResult:
    people = slices.people()
    anchors = np.stack([fingerprint.anchors for fingerprint in fingerprints])
    copies = _merge(
        exact_copies([fingerprint.pixels for fingerprint in fingerprints]),
        near_copies(thumbnails, anchors, people=people),
    )
    pairs = [_report_pair(slices, copy, people=people) for copy in copies]
    across = [pair for pair in pairs if _is_across(pair, people)]
    within = [pair for pair in pairs if not _is_across(pair, people)]
    return AuditResult(
        directory=str(slices.directory),
        kind=slices.kind,
        split=str(split) if split else ("built" if slices.has_split else ""),
        slices=len(slices),
        patients=int(people.max()) + 1,
        split_patients=tuple(_split_patients(slices)),
        trained_on=str(trained_on or ""),
        shared_patients=tuple(shared),
        pairs=tuple(across),
        copies_within=tuple(within),
        identities=tuple(_identities(across, people)),
        contradicted_labels=slices.findings.names(Finding.CLASS_CONFLICT),
        multi_class_patients=tuple(_multi_class_patients(slices, people)),
        findings=tuple(slices.findings.summarise()),
        association=associate(labels=slices.labels, sources=slices.sources, people=people),
        shortcut=check_shortcut(
            np.stack([fingerprint.background for fingerprint in fingerprints]),
            labels=slices.labels,
            sources=slices.sources,
            people=people,
        ),
        thresholds={
            "correlation": SAME,
            "hash_bits": float(LIMIT),
            "crop_searched": max(CROPS),
        },
    )


def _merge(exact: Iterable[Copy], near: Iterable[Copy]) -> list[Copy]:
    """Each pair once; equal pixels take precedence."""
    unique: dict[frozenset[int], Copy] = {}
    for copy in (*exact, *near):
        unique.setdefault(frozenset((copy.first, copy.second)), copy)
    return list(unique.values())


def _report_pair(slices: AuditSlices, copy: Copy, *, people: Int32[np.ndarray, "n"]) -> Pair:
    first, second = copy.first, copy.second
    splits = {int(slices.splits[first]), int(slices.splits[second])}
    is_apart = len(splits) == 2 and min(splits) >= 0
    return Pair(
        first=_report_slice(slices, first),
        second=_report_slice(slices, second),
        kind=copy.kind,
        difference=copy.difference,
        correlation=copy.correlation,
        leaks=bool(people[first] != people[second]) and (is_apart or not slices.has_split),
    )


def _report_slice(slices: AuditSlices, row: int) -> ReportedSlice:
    return ReportedSlice(
        row=row,
        file_name=str(slices.file_names[row]),
        label=CLASS_NAMES[int(slices.labels[row])],
        patient=str(slices.patients[row]),
        source=str(slices.sources[row]),
        split=split_name(int(slices.splits[row])),
    )


def _is_across(pair: Pair, people: Int32[np.ndarray, "n"]) -> bool:
    """Whether a pair crosses people or classes, which makes it a finding."""
    return bool(people[pair.first.row] != people[pair.second.row]) or pair.is_conflict


def _split_patients(slices: AuditSlices) -> Iterable[SplitPatient]:
    """People in several splits, by the data set's ids and by those of the split.csv."""
    reported = set()
    for patients in (slices.patients, slices.listed_patients):
        keys = patient_keys(patients)
        has_split = slices.splits >= 0
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for key, code in zip(
            keys[has_split].tolist(), slices.splits[has_split].tolist(), strict=True
        ):
            counts[key][SPLITS[code]] += 1
        for key in sorted(key for key, by_split in counts.items() if len(by_split) > 1):
            if key not in reported:
                reported.add(key)
                name = str(patients[np.argmax(keys == key)])
                yield SplitPatient(name, {s: counts[key][s] for s in SPLITS if counts[key][s]})


def _identities(pairs: Sequence[Pair], people: Int32[np.ndarray, "n"]) -> list[IdentityMatch]:
    """Pairs of ids with copies of each other, most copies first."""
    correlations: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for pair in pairs:
        if people[pair.first.row] != people[pair.second.row]:
            low, high = sorted((pair.first.patient, pair.second.patient))
            correlations[low, high].append(pair.correlation)
    identities = [
        IdentityMatch(patients, len(scores), float(np.mean(scores)))
        for patients, scores in correlations.items()
    ]
    return sorted(identities, key=lambda identity: (-identity.pairs, identity.patients))


def _multi_class_patients(slices: AuditSlices, people: Int32[np.ndarray, "n"]) -> Iterable[str]:
    has_class = np.zeros((int(people.max()) + 1, len(CLASS_NAMES)), bool)
    has_class[people, slices.labels] = True
    for person in np.flatnonzero(has_class.sum(axis=1) > 1):
        yield str(slices.patients[np.argmax(people == person)])
