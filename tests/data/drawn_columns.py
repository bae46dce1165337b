"""Drawn data set columns: patients with slices, small random ones and one of the full set's size."""

from pathlib import Path

import numpy as np

from mgajax.data.splits import Split, assert_patient_disjoint
from mgajax.data.table import SliceTable
from mgajax.schema import CLASS_NAMES, SPLITS

TABLE2: dict[str, dict[str, int]] = {
    "train": {"Normal": 4643, "COVID-19": 5563, "CAP": 1773},
    "validation": {"Normal": 1736, "COVID-19": 1508, "CAP": 643},
    "test": {"Normal": 514, "COVID-19": 522, "CAP": 202},
}
"""Paper, Table 2."""

FULL_SIZE: tuple[tuple[int, str, int, int], ...] = (
    (0, "afshar", 76, 760),
    (0, "morozov", 254, 5080),
    (0, "rahimzadeh", 274, 1053),
    (1, "afshar", 55, 3815),
    (1, "cohen", 17, 34),
    (1, "jun", 18, 1844),
    (1, "medseg", 43, 100),
    (1, "morozov", 50, 785),
    (1, "rahimzadeh", 68, 666),
    (1, "zhao", 213, 349),
    (2, "afshar", 54, 2618),
)
"""Class, source, patients, slices of the curated set (paper, Table 1, and its public CSVs)."""


def columns(rows: list[tuple[int, str, str]], *, order: np.ndarray | None = None) -> SliceTable:
    """A table of (label, source, patient) rows, optionally reordered; all of it trains."""
    if order is not None:
        rows = [rows[int(i)] for i in order]
    labels, sources, patients = zip(*rows, strict=True)
    return SliceTable(
        labels=np.array(labels, np.int32),
        patients=np.array(patients),
        sources=np.array(sources),
        file_names=np.array([f"slice_{i}.png" for i in range(len(rows))]),
        mask_origins=np.full(len(rows), "none"),
        built_split=np.zeros(len(rows), np.int8),
        fingerprint="",
        directory=Path("drawn"),
    )


def drawn_columns(seed: int, *, patients: int, spanning: int = 0) -> SliceTable:
    """Random patients of 1 to 30 slices over three classes and three sources, rows shuffled.

    The first `spanning` patients also have slices in a second class.
    """
    rng = np.random.default_rng(seed)
    rows: list[tuple[int, str, str]] = []
    for number in range(patients):
        label = number % 3 if number < 9 else int(rng.integers(3))
        source = str(rng.choice(["zhao", "afshar", "jun"]))
        rows += [(label, source, f"{source}/{number}")] * int(rng.integers(1, 31))
        if number < spanning:
            rows += [((label + 1) % 3, source, f"{source}/{number}")] * int(rng.integers(1, 9))
    return columns(rows, order=rng.permutation(len(rows)))


def full_size_columns(seed: int) -> SliceTable:
    """The curated set's numbers of patients and slices by class and source, sizes drawn.

    Morozov-Normal has 20 slices a patient, as every study of it has, Afshar-Normal 10 and
    Rahimzadeh-Normal 3 or 6; other sizes are drawn unevenly, each patient with at least one.
    """
    rng = np.random.default_rng(seed)
    rows: list[tuple[int, str, str]] = []
    for label, source, people, slices in FULL_SIZE:
        if slices % people == 0:
            sizes = np.full(people, slices // people)
        elif (label, source) == (0, "rahimzadeh"):
            sizes = np.repeat([3, 6], [2 * people - slices // 3, slices // 3 - people])
        else:
            chances = rng.dirichlet(np.full(people, 1.5))
            sizes = 1 + rng.multinomial(slices - people, chances)
        for number, size in enumerate(sizes):
            rows += [(label, source, f"{source}/{label}_{number}")] * int(size)
    return columns(rows)


def parts_of_patients(columns: SliceTable, assignment: np.ndarray) -> dict[str, set[int]]:
    """Every patient's set of split codes, left-out rows ignored; computed the plain way."""
    parts: dict[str, set[int]] = {}
    for patient, code in zip(columns.patients.tolist(), assignment.tolist(), strict=True):
        if code >= 0:
            parts.setdefault(patient, set()).add(code)
    return parts


def assert_whole_patients(table: SliceTable, split: Split) -> None:
    """Nobody in two splits, by a plain count and by the product's own check."""
    assert all(len(parts) == 1 for parts in parts_of_patients(table, split.assignment).values())
    assert_patient_disjoint(split, table.patients)


def assert_sources_balanced(table: SliceTable, split: Split, *, large: int, off: float) -> None:
    """Each (class, source) of at least `large` slices has its class's share in every split."""
    for label in range(len(CLASS_NAMES)):
        of_class = table.labels == label
        for source in np.unique(table.sources[of_class]):
            rows = of_class & (table.sources == source)
            for code in range(len(SPLITS)):
                share = (split.assignment[rows] == code).mean()
                expected_share = (split.assignment[of_class] == code).mean()
                if rows.sum() >= large:
                    assert abs(share - expected_share) <= off, (
                        label,
                        source,
                        code,
                        share,
                        expected_share,
                    )
