"""The split that divides slices, not patients, to compare with results of such splits.

Neighbouring slices of one person look alike, so a model that was trained on one recognises the other in
the test. It is used only where it is asked for by name.
"""

import numpy as np

from mgajax.data.columns import SliceColumns
from mgajax.data.patient_groups import Split, leakage_note

LEAKING_SLICES = "leaking_slices"
"""The kind and the name of the split, and its mark in split.csv."""


def leaking_slices(table: SliceColumns, *, base: Split, seed: int) -> Split:
    """Random slices, with as many of each class in each split as `base` has.

    The paper gives counts (2,329/200/200 for step 1) and does not say that its split kept patients
    together. Splits of these slices that others have published do not. This is such a split.

    Args:
      table: the slices [n].
      base: gives the counts; its left-out rows stay out.
      seed: chooses the slices; the order of the rows does not matter.

    Returns:
      A split with `leaks` set, whose notes count the patients in several splits.
    """
    rng = np.random.default_rng(seed)
    order = np.argsort(table.file_names, kind="stable")
    order = order[base.assignment[order] >= 0]
    assignment = base.assignment.copy()
    for label in np.unique(table.labels):
        rows = order[table.labels[order] == label]
        assignment[rows] = rng.permutation(np.sort(base.assignment[rows]))
    note = leakage_note(assignment, table.patients)
    return Split(LEAKING_SLICES, assignment, (note,), leaks=True)
