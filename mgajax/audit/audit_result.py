"""What an audit found, and whether it means leakage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mgajax.audit.association import Association
from mgajax.audit.background_shortcut import Shortcut
from mgajax.curation.findings import FindingSummary, findings_json


@dataclass(frozen=True)
class ReportedSlice:
    """One slice as it is reported; `split` is "" where none is known."""

    row: int
    file_name: str
    label: str
    patient: str
    source: str
    split: str


@dataclass(frozen=True)
class Pair:
    """Two slices that show the same.

    Attributes:
      first, second: the slices.
      kind: "exact" or "near".
      difference: how the second differs, e.g. "upside down".
      correlation: of local contrast once aligned.
      leaks: two people's, and nothing keeps them out of two splits.
    """

    first: ReportedSlice
    second: ReportedSlice
    kind: str
    difference: str
    correlation: float
    leaks: bool

    @property
    def is_conflict(self) -> bool:
        """Whether the same picture is in two classes."""
        return self.first.label != self.second.label

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "first": vars(self.first),
            "second": vars(self.second),
            "kind": self.kind,
            "how": self.difference,
            "correlation": round(self.correlation, 4),
            "leaks": self.leaks,
            "label_conflict": self.is_conflict,
        }


@dataclass(frozen=True)
class SplitPatient:
    """A patient in several splits, with slices by split name."""

    patient: str
    slices: Mapping[str, int]


@dataclass(frozen=True)
class SharedPatient:
    """A patient who tests here and trains the segmenter: slices of each."""

    patient: str
    tested: int
    trained: int


@dataclass(frozen=True)
class IdentityMatch:
    """Two ids whose slices match: probably one person."""

    patients: tuple[str, str]
    pairs: int
    correlation: float


@dataclass(frozen=True)
class AuditResult:
    """Everything that an audit found.

    Attributes:
      directory, kind: what was audited.
      split: where the splits are from; "" where none is known.
      slices, patients: how many were looked at.
      split_patients: people in several splits.
      trained_on: what the segmenter of these slices' masks was trained on; "" if not given.
      shared_patients: people who test here and train there.
      pairs: same pictures of two people, or in two classes; most alike first.
      copies_within: same pictures of one person in one class: no leak, but counted twice.
      identities: ids that look like one person, most matches first.
      contradicted_labels: slices whose folder contradicts their table.
      multi_class_patients: people with slices in several classes; not an error in itself.
      findings: damage and oddities of files, rows and masks.
      association, shortcut: what gives the class away.
      thresholds: that decided what counts as the same.
    """

    directory: str
    kind: str
    split: str
    slices: int
    patients: int
    split_patients: tuple[SplitPatient, ...]
    trained_on: str
    shared_patients: tuple[SharedPatient, ...]
    pairs: tuple[Pair, ...]
    copies_within: tuple[Pair, ...]
    identities: tuple[IdentityMatch, ...]
    contradicted_labels: tuple[str, ...]
    multi_class_patients: tuple[str, ...]
    findings: tuple[FindingSummary, ...]
    association: Association
    shortcut: Shortcut
    thresholds: Mapping[str, float]

    @property
    def leaking_pairs(self) -> tuple[Pair, ...]:
        """Same pictures of two people that are, or may come, into two splits."""
        return tuple(pair for pair in self.pairs if pair.leaks)

    @property
    def conflicts(self) -> int:
        """Same pictures in two classes, and slices whose folder contradicts their table."""
        return sum(pair.is_conflict for pair in self.pairs) + len(self.contradicted_labels)

    @property
    def damaged(self) -> int:
        """Files, rows and masks that are damaged or missing."""
        return sum(finding.count for finding in self.findings if finding.kind.is_damage)

    @property
    def is_clean(self) -> bool:
        """No leakage and no label conflict; copies within a patient and damage do not count."""
        leaks = self.split_patients or self.shared_patients or self.leaking_pairs
        return not (leaks or self.conflicts)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "clean": self.is_clean,
            "directory": self.directory,
            "kind": self.kind,
            "split": self.split,
            "slices": self.slices,
            "patients": self.patients,
            "patients_across_splits": {p.patient: dict(p.slices) for p in self.split_patients},
            "segmenter_trained_on": self.trained_on,
            "test_patients_who_train_the_segmenter": [vars(p) for p in self.shared_patients],
            "pairs": [pair.to_json() for pair in self.pairs],
            "copies_within_a_patient": [pair.to_json() for pair in self.copies_within],
            "double_identities": [
                {"patients": list(i.patients), "pairs": i.pairs, "correlation": i.correlation}
                for i in self.identities
            ],
            "label_conflicts": self.conflicts,
            "folder_contradicts_table": list(self.contradicted_labels),
            "patients_of_two_classes": list(self.multi_class_patients),
            "damaged": self.damaged,
            "findings": findings_json(self.findings),
            "source_and_class": self.association.to_json(),
            "shortcut": self.shortcut.to_json(),
            "thresholds": dict(self.thresholds),
        }
