"""Ablations of the proposed model."""

from mgajax.experiments.classifiers import SECTIONS, examine
from mgajax.experiments.study import Comparison, Study, StudyInput, StudyResults

PROPOSED = "proposed"


def _examine(finished: StudyInput) -> StudyResults:
    """Every arm, and its difference from the proposed model."""
    pairs = [(arm, PROPOSED) for arm in finished.configs if arm != PROPOSED]
    labels = {arm: arm.replace("_", " ") for arm in finished.configs}
    return examine(finished, Comparison(SECTIONS, pairs=pairs, labels=labels))


STUDIES = {
    "ablations": Study(
        title="One change at a time of the proposed model",
        source="Paper, §6.3",
        plan="configs/experiments/ablations.py",
        examine=_examine,
    ),
}
