"""Metrics, patient aggregation, bootstrap intervals, calibration, attention–lesion overlap."""

from mgajax.evaluation.metrics import classification_metrics
from mgajax.evaluation.overlap import lesion_overlap, overlap_summary
from mgajax.evaluation.predictions import Predictions

__all__ = ["Predictions", "classification_metrics", "lesion_overlap", "overlap_summary"]
