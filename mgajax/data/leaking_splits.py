"""The split that divides slices and not patients: for comparing with results that did so.

Neighbouring slices of one person look alike, so a model that has seen one in training knows the
other in the test. Nothing here is used unless it is asked for by name.
"""

import numpy as np

from mgajax.data.columns import SliceColumns
from mgajax.data.patient_groups import Split, leakage_note

LEAKING_SLICES = "leaking_slices"
"""Kind and name of the split, and its mark in split.csv."""


def leaking_slices(table: SliceColumns, *, base: Split, seed: int) -> Split:
    """Random slices, with as many of each class in each split as `base` has.

    The paper gives counts (2,329/200/200 for step 1) and does not say that its split kept patients
    together; splits of these slices that others have published do not. This is such a split.

    Args:
      table: the slices [n].
      base: gives the counts; its left-out rows stay out.
      seed: chooses the slices; the order of the rows has no part in it.

    Returns:
      A split with `leaks` set, whose notes count the patients that stand in several splits.
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
