"""Differences between the published tables and the paper's numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mgajax.curation.statistics import SliceFacts, SourceRow, table1, total_row
from mgajax.paper import TABLE1, TABLE2
from mgajax.schema import CLASS_NAMES, COVID

REASONS: dict[tuple[str, int], str] = {
    ("jun", COVID): "its 20 volumes come from 18 people, and the tables give people's ids",
    ("all", COVID): "Jun's 20 volumes come from 18 people",
    ("afshar", 2): "six CAP scans of the archive have no slice in the published set",
    ("all", 2): "six CAP scans of the archive have no slice in the published set",
}
"""(Source, class) -> why the published tables cannot give the paper's number of cases."""


@dataclass(frozen=True)
class CountDifference:
    """One number of Table 1 that is not the paper's; `reason` is '' where unknown."""

    source: str
    class_name: str
    quantity: str
    counted: int
    paper: int
    reason: str


def is_whole_set(facts: Sequence[SliceFacts]) -> bool:
    """Whether each class has as many slices as in the paper, so that they can be compared."""
    return total_row(facts).slices == TABLE1["all"][0]


def find_differences(facts: Sequence[SliceFacts]) -> list[CountDifference]:
    """The numbers of Table 1 that are not the paper's, row by row and for all."""
    differences = []
    for row in (*table1(facts), total_row(facts)):
        for quantity, counted, paper in zip(
            ("slices", "cases"), _counts(row), TABLE1[row.source], strict=True
        ):
            for label, name in enumerate(CLASS_NAMES):
                if counted[label] != paper[label]:
                    reason = REASONS.get((row.source, label), "") if quantity == "cases" else ""
                    differences.append(
                        CountDifference(
                            row.source, name, quantity, counted[label], paper[label], reason
                        )
                    )
    return differences


def fits_table2(counts: Mapping[str, Mapping[str, int]]) -> bool:
    """Whether a split has the paper's Table 2 exactly."""
    return {split: dict(classes) for split, classes in counts.items()} == TABLE2


def _counts(row: SourceRow) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return row.slices, row.cases
