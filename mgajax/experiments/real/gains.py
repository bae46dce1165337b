"""The gain of pretraining on drawn slices."""

from collections.abc import Sequence
from dataclasses import replace

from mgajax.experiments.compare import ByArm, contrast_rows
from mgajax.experiments.real.arms import Arm, Start
from mgajax.experiments.study import Metrics
from mgajax.reporting.tables.measurements import Measurement


def gain_rows(
    arms: Sequence[Arm], replicates: ByArm, *, table: str, metrics: Metrics
) -> list[Measurement]:
    """Pretrained on drawn slices minus random weights: a row for each network and metric."""
    rows = []
    for arm in arms:
        random = replace(arm, start=Start.RANDOM)
        if arm.start is Start.DRAWN and random in arms:
            weights = {arm.name: 1.0, random.name: -1.0}
            rows += contrast_rows(replicates, weights, table=table, name=arm.label, metrics=metrics)
    return rows
