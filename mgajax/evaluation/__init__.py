"""Metrics, patient aggregation, bootstrap intervals, calibration, masks, attention–lesion overlap."""

from mgajax.evaluation.metrics import classification_metrics
from mgajax.evaluation.overlap import lesion_overlap, overlap_summary
from mgajax.evaluation.predictions import Predictions
from mgajax.evaluation.segmentation import metrics_from_counts, segmentation_metrics
from mgajax.evaluation.segmentation_counts import collect_counts, count_slice

__all__ = [
    "Predictions",
    "classification_metrics",
    "collect_counts",
    "count_slice",
    "lesion_overlap",
    "metrics_from_counts",
    "overlap_summary",
    "segmentation_metrics",
]
