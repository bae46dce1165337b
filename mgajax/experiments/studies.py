"""Every study by its name."""

from collections.abc import Mapping

from mgajax.experiments import (
    attributions,
    calibration,
    claims,
    classifiers,
    dataset,
    forensics,
    fractions,
    shortcut,
    significance,
    table3,
    variants,
)
from mgajax.experiments.study import Study

STUDIES: Mapping[str, Study] = {
    **table3.STUDIES,
    **classifiers.STUDIES,
    **fractions.STUDIES,
    **attributions.STUDIES,
    **dataset.STUDIES,
    **claims.STUDIES,
    **forensics.STUDIES,
    **variants.STUDIES,
    **shortcut.STUDIES,
    **calibration.STUDIES,
    **significance.STUDIES,
}
