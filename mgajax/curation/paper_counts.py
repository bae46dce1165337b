"""Where the published tables say otherwise than the paper does of its data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mgajax.curation.statistics import SliceFacts, SourceRow, table1, total_row
from mgajax.paper import TABLE1, TABLE2
from mgajax.schema import CLASS_NAMES, COVID

WHY: dict[tuple[str, int], str] = {
    ("jun", COVID): "its 20 volumes come from 18 people, and the tables give people's ids",
    ("all", COVID): "Jun's 20 volumes come from 18 people",
    ("afshar", 2): "six CAP scans of the archive have no slice in the published set",
    ("all", 2): "six CAP scans of the archive have no slice in the published set",
}
"""(Source, class) -> why the published tables cannot give the paper's number of cases."""


@dataclass(frozen=True)
class CountDifference:
    """One number of Table 1 that is not the paper's; `why` is '' where nothing is known of it."""

    source: str
    class_name: str
    what: str
    here: int
    paper: int
    why: str


def is_whole_set(facts: Sequence[SliceFacts]) -> bool:
    """Whether these are as many slices of each class as the paper has, so that it can be compared."""
    return total_row(facts).slices == TABLE1["all"][0]


def differences(facts: Sequence[SliceFacts]) -> list[CountDifference]:
    """Where Table 1 counted here is not the paper's, row by row and for all."""
    found = []
    for row in (*table1(facts), total_row(facts)):
        for what, here, paper in zip(
            ("slices", "cases"), _counts(row), TABLE1[row.source], strict=True
        ):
            for label, name in enumerate(CLASS_NAMES):
                if here[label] != paper[label]:
                    why = WHY.get((row.source, label), "") if what == "cases" else ""
                    found.append(
                        CountDifference(row.source, name, what, here[label], paper[label], why)
                    )
    return found


def fits_table2(counts: Mapping[str, Mapping[str, int]]) -> bool:
    """Whether a split has the paper's Table 2 exactly."""
    return {split: dict(classes) for split, classes in counts.items()} == TABLE2


def _counts(row: SourceRow) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return row.slices, row.cases
