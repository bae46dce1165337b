"""How far the archive alone gives away the class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from mgajax.schema import CLASS_NAMES, SOURCES


@dataclass(frozen=True)
class Association:
    """Sources against classes.

    Attributes:
      sources: those that occur, in the order of the schema.
      slices, patients: counts by source (rows) and class.
      v_slices, v_patients: Cramér's V of either table, corrected for bias; None where undefined.
    """

    sources: tuple[str, ...]
    slices: tuple[tuple[int, ...], ...]
    patients: tuple[tuple[int, ...], ...]
    v_slices: float | None
    v_patients: float | None

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        tables = {"slices": self.slices, "patients": self.patients}
        return {
            "cramers_v": {"slices": self.v_slices, "patients": self.v_patients},
            "counts": {
                name: {
                    source: dict(zip(CLASS_NAMES, row, strict=True))
                    for source, row in zip(self.sources, table, strict=True)
                }
                for name, table in tables.items()
            },
        }


def associate(
    *,
    labels: Int[np.ndarray, "n"],
    sources: Sequence[str] | np.ndarray,
    people: Int[np.ndarray, "n"],
) -> Association:
    """Cross-tabulate sources and classes, by slice and by person.

    Args:
      labels: class codes.
      sources: archives.
      people: whose slice each is; a person counts once for each source and class.
    """
    source_names = np.asarray(sources).astype(str)
    present_sources = tuple(name for name in SOURCES if (source_names == name).any())
    source_codes = np.array([present_sources.index(name) for name in source_names.tolist()])
    combinations = np.unique(np.stack([source_codes, labels, people]), axis=1)
    slices = _table(source_codes, labels, len(present_sources))
    patients = _table(combinations[0], combinations[1], len(present_sources))
    return Association(
        sources=present_sources,
        slices=tuple(map(tuple, slices.tolist())),
        patients=tuple(map(tuple, patients.tolist())),
        v_slices=cramers_v(slices),
        v_patients=cramers_v(patients),
    )


def cramers_v(table: Int[np.ndarray, "r c"]) -> float | None:
    """Cramér's V of a table of counts, in [0, 1], with the bias correction of Bergsma (J. Korean
    Stat. Soc. 42, 2013): phi squared less its expectation under independence, and the table's sides
    shrunk alike.

    None where there is only one row or column, or nothing to count.
    """
    counts = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0].astype(np.float64)
    rows, columns = counts.shape
    total = counts.sum()
    if min(rows, columns) < 2 or total < 2:
        return None
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0, keepdims=True) / total
    phi = (np.square(counts - expected) / expected).sum() / total
    phi = max(0.0, phi - (rows - 1) * (columns - 1) / (total - 1))
    shrunk = [side - (side - 1) ** 2 / (total - 1) for side in (rows, columns)]
    bound = min(shrunk) - 1
    return float(min(1.0, np.sqrt(phi / bound))) if bound > 0 else None


def _table(rows: np.ndarray, columns: np.ndarray, count: int) -> np.ndarray:
    table = np.zeros((count, len(CLASS_NAMES)), np.int64)
    np.add.at(table, (rows, columns), 1)
    return table
