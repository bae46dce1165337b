"""Numbers that the paper prints, in percent. COVID-19 against the rest, on its own, unpublished split."""

from collections.abc import Mapping

from mgajax.experiments.study import BINARY

Row = Mapping[str, float]
"""By path in `classification_metrics`."""


def _row(*printed: float) -> Row:
    """Accuracy, F1, recall, precision and ROC AUC, as the tables order them."""
    return dict(zip(BINARY, printed, strict=True))


TABLE4: Mapping[str, Row] = {
    "resnet18": _row(93.05, 91.22, 85.63, 97.60, 97.86),
    "resnet50": _row(93.86, 92.34, 87.74, 97.45, 97.90),
    "densenet121": _row(93.37, 91.71, 86.97, 97.00, 98.24),
    "resnet18_cbam": _row(94.26, 92.93, 89.46, 96.69, 98.41),
    "mga_resnet18": _row(95.15, 94.07, 91.05, 97.30, 98.59),
}

TABLE5: Mapping[str, Row] = {
    "stage1": _row(94.65, 93.49, 90.86, 96.29, 98.08),
    "stage2": _row(94.82, 93.71, 91.25, 96.30, 98.56),
    "stage3": _row(95.15, 94.07, 91.05, 97.30, 98.59),
}
