"""Audits a folder: reads its slices, looks for copies, damage and shortcuts, and collects the result."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int32, UInt8

from mgajax.audit.association import associate
from mgajax.audit.candidates import CROPS, LIMIT
from mgajax.audit.copies import SAME, Copy, exact_copies, near_copies
from mgajax.audit.fingerprints import (
    Fingerprint,
    fingerprint_all,
    load_fingerprints,
    store_fingerprints,
)
from mgajax.audit.mask_check import check_masks
from mgajax.audit.result import (
    AuditResult,
    IdentityMatch,
    Pair,
    ReportedSlice,
    SharedPatient,
    SplitPatient,
)
from mgajax.audit.segmenter import shared_patients
from mgajax.audit.shortcut import check_shortcut
from mgajax.audit.slices import AuditSlices, open_slices, split_name
from mgajax.curation.report import Finding
from mgajax.data.patient_groups import patient_keys
from mgajax.errors import DataError
from mgajax.schema import CLASS_NAMES, SPLITS

CACHE = "fingerprints.npz"


@dataclass(frozen=True)
class IllustratedAudit:
    """An audit's result, and what its rows look like.

    Attributes:
      result: what was found.
      thumbnails: of all slices, squeezed into squares.
      shapes: height and width that they had.
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
      trained_on: what the segmenter of predicted masks was trained on, see `shared_patients`.
      cache: a folder that keeps the fingerprints for the next audit.

    Raises:
      DataError: nothing to audit; see also `open_slices`.
    """
    slices = open_slices(directory, split=split)
    shared = shared_patients(slices, trained_on) if trained_on else []
    stored = load_fingerprints(cache / CACHE)
    found = fingerprint_all(slices.contents(), total=len(slices), stored=stored)
    for name, fingerprint_ in zip(slices.file_names.tolist(), found, strict=True):
        if fingerprint_ is None:
            slices.findings.note(Finding.UNDECODABLE, name)
    prints = [fingerprint_ for fingerprint_ in found if fingerprint_ is not None]
    if not prints:
        raise DataError(f"{directory}: none of {len(found)} pictures can be decoded")
    if any(fingerprint_.content not in stored for fingerprint_ in prints):
        store_fingerprints(
            cache / CACHE, {fingerprint_.content: fingerprint_ for fingerprint_ in prints}.values()
        )
    whole = slices.only(np.array([fingerprint_ is not None for fingerprint_ in found]))
    shapes = np.stack([fingerprint_.shape for fingerprint_ in prints])
    check_masks(whole, shapes, folder=masks or slices.mask_folder)
    thumbnails = np.stack([fingerprint_.thumbnail for fingerprint_ in prints])
    result = _judge(whole, prints, thumbnails, split=split, trained_on=trained_on, shared=shared)
    return IllustratedAudit(result, thumbnails, shapes)


def _judge(
    slices: AuditSlices,
    prints: Sequence[Fingerprint],
    thumbnails: np.ndarray,
    *,
    split: Path | None,
    trained_on: Path | None,
    shared: Sequence[SharedPatient],
) -> AuditResult:
    people = slices.people()
    near = near_copies(thumbnails, np.stack([one.anchors for one in prints]), people=people)
    copies = _merged(exact_copies([one.pixels for one in prints]), near)
    pairs = [_pair(slices, copy, people=people) for copy in copies]
    between = [pair for pair in pairs if _is_between(pair, people)]
    own = [pair for pair in pairs if not _is_between(pair, people)]
    return AuditResult(
        directory=str(slices.directory),
        kind=slices.kind,
        split=str(split) if split else ("built" if slices.has_split else ""),
        slices=len(slices),
        patients=int(people.max()) + 1,
        split_patients=tuple(_split_patients(slices)),
        trained_on=str(trained_on or ""),
        shared_patients=tuple(shared),
        pairs=tuple(between),
        own_copies=tuple(own),
        identities=tuple(_identities(between, people)),
        torn_labels=slices.findings.names(Finding.CLASS_CONFLICT),
        two_classes=tuple(_two_classes(slices, people)),
        findings=tuple(slices.findings.summarised()),
        association=associate(labels=slices.labels, sources=slices.sources, people=people),
        shortcut=check_shortcut(
            np.stack([one.background for one in prints]),
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


def _merged(exact: Iterable[Copy], near: Iterable[Copy]) -> list[Copy]:
    """Each pair once; equal pixels before alike ones."""
    seen: dict[frozenset[int], Copy] = {}
    for copy in (*exact, *near):
        seen.setdefault(frozenset((copy.first, copy.second)), copy)
    return list(seen.values())


def _pair(slices: AuditSlices, copy: Copy, *, people: Int32[np.ndarray, "n"]) -> Pair:
    a, b = copy.first, copy.second
    parts = {int(slices.splits[a]), int(slices.splits[b])}
    apart = len(parts) == 2 and min(parts) >= 0
    return Pair(
        first=_slice(slices, a),
        second=_slice(slices, b),
        kind=copy.kind,
        words=copy.words,
        correlation=copy.correlation,
        leaks=bool(people[a] != people[b]) and (apart or not slices.has_split),
    )


def _slice(slices: AuditSlices, row: int) -> ReportedSlice:
    return ReportedSlice(
        row=row,
        file_name=str(slices.file_names[row]),
        label=CLASS_NAMES[int(slices.labels[row])],
        patient=str(slices.patients[row]),
        source=str(slices.sources[row]),
        split=split_name(int(slices.splits[row])),
    )


def _is_between(pair: Pair, people: Int32[np.ndarray, "n"]) -> bool:
    """Whether a pair crosses people or classes, which makes it a finding."""
    return bool(people[pair.first.row] != people[pair.second.row]) or pair.is_conflict


def _split_patients(slices: AuditSlices) -> Iterable[SplitPatient]:
    """People in several splits, by the data set's ids and by those of the split.csv."""
    reported = set()
    for patients in (slices.patients, slices.own_patients):
        keys = patient_keys(patients)
        used = slices.splits >= 0
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for key, code in zip(keys[used].tolist(), slices.splits[used].tolist(), strict=True):
            counts[key][SPLITS[code]] += 1
        for key in sorted(key for key, parts in counts.items() if len(parts) > 1):
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


def _two_classes(slices: AuditSlices, people: Int32[np.ndarray, "n"]) -> Iterable[str]:
    seen = np.zeros((int(people.max()) + 1, len(CLASS_NAMES)), bool)
    seen[people, slices.labels] = True
    for person in np.flatnonzero(seen.sum(axis=1) > 1):
        yield str(slices.patients[np.argmax(people == person)])
