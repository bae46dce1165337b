"""What the paper prints about its data set, and where its own tables say otherwise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mgajax.curation.statistics import SliceFacts, SourceRow, table1, total_row
from mgajax.schema import CLASS_NAMES, COVID

TABLE1: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "zhao": ((0, 349, 0), (0, 213, 0)),
    "afshar": ((760, 3815, 2618), (76, 55, 60)),
    "cohen": ((0, 34, 0), (0, 17, 0)),
    "morozov": ((5080, 785, 0), (254, 50, 0)),
    "rahimzadeh": ((1053, 666, 0), (274, 68, 0)),
    "jun": ((0, 1844, 0), (0, 20, 0)),
    "medseg": ((0, 100, 0), (0, 43, 0)),
    "all": ((6893, 7593, 2618), (604, 466, 60)),
}
"""Source -> slices and cases by class (paper, Table 1; CAP from the text of section 4)."""

TABLE2: dict[str, dict[str, int]] = {
    "train": {"Normal": 4643, "COVID-19": 5563, "CAP": 1773},
    "validation": {"Normal": 1736, "COVID-19": 1508, "CAP": 643},
    "test": {"Normal": 514, "COVID-19": 522, "CAP": 202},
}
"""Paper, Table 2."""

MEDIAN_AGES: dict[str, float] = {"Normal": 50.0, "COVID-19": 49.0, "CAP": 59.0}
REPORTS, COUNTRIES, MASKS, MISSING_SEX = 796, 13, 2729, 0.09
"""Slices with a report, countries, lesion masks (paper, section 4), and the share of slices without
sex and age (its Table 1)."""

WHY: dict[tuple[str, int], str] = {
    ("jun", COVID): "its 20 volumes come from 18 people, and the tables give people's ids",
    ("all", COVID): "Jun's 20 volumes come from 18 people",
    ("afshar", 2): "six CAP scans of the archive have no slice in the published set",
    ("all", 2): "six CAP scans of the archive have no slice in the published set",
}
"""(Source, class) -> why the published tables cannot give the paper's number of cases."""


@dataclass(frozen=True)
class Difference:
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


def differences(facts: Sequence[SliceFacts]) -> list[Difference]:
    """Where Table 1 counted here is not the paper's, row by row and for all."""
    found = []
    for row in (*table1(facts), total_row(facts)):
        for what, here, paper in zip(
            ("slices", "cases"), _counts(row), TABLE1[row.source], strict=True
        ):
            for label, name in enumerate(CLASS_NAMES):
                if here[label] != paper[label]:
                    why = WHY.get((row.source, label), "") if what == "cases" else ""
                    found.append(Difference(row.source, name, what, here[label], paper[label], why))
    return found


def fits_table2(counts: Mapping[str, Mapping[str, int]]) -> bool:
    """Whether a split has the paper's Table 2 exactly."""
    return {split: dict(classes) for split, classes in counts.items()} == TABLE2


def _counts(row: SourceRow) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return row.slices, row.cases
