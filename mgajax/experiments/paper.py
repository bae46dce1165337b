"""Numbers that the paper prints, in percent. COVID-19 against the rest, on its own, unpublished split."""

from collections.abc import Mapping

from mgajax.experiments.study import BINARY
from mgajax.reporting.tables.table4 import PAPER

Row = Mapping[str, float]
"""By path in `classification_metrics`."""


def _row(*printed: float) -> Row:
    """Accuracy, F1, recall, precision and ROC AUC, as the tables order them."""
    return dict(zip(BINARY, printed, strict=True))


TABLE4: Mapping[str, Row] = {name: _row(*printed.values()) for name, printed in PAPER.items()}

TABLE5: Mapping[str, Row] = {
    "stage1": _row(94.65, 93.49, 90.86, 96.29, 98.08),
    "stage2": _row(94.82, 93.71, 91.25, 96.30, 98.56),
    "stage3": _row(95.15, 94.07, 91.05, 97.30, 98.59),
}
