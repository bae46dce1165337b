"""Every study by its name."""

from collections.abc import Mapping

from mgajax.experiments import (
    attributions,
    calibration,
    checkpoint_choice,
    claims,
    classifiers,
    dataset,
    forensics,
    fractions,
    paper_masks,
    shortcut,
    significance,
    sources,
    table3,
)
from mgajax.experiments.study import Study

STUDIES: Mapping[str, Study] = {
    **table3.STUDIES,
    **classifiers.STUDIES,
    **fractions.STUDIES,
    **attributions.STUDIES,
    **dataset.STUDIES,
    **claims.STUDIES,
    **paper_masks.STUDIES,
    **checkpoint_choice.STUDIES,
    **forensics.STUDIES,
    **sources.STUDIES,
    **shortcut.STUDIES,
    **calibration.STUDIES,
    **significance.STUDIES,
}
