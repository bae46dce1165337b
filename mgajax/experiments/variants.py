"""Ablations of the proposed model, and each source in turn as the test set."""

from mgajax.experiments.classifiers import SECTIONS
from mgajax.experiments.compare import measure_arms
from mgajax.experiments.study import BINARY, Comparison, Finished, Found, Study
from mgajax.reporting.experiment_figures import arms_figure

PROPOSED = "proposed"


def _examine_ablations(finished: Finished) -> Found:
    """Every arm, and its difference from the proposed model."""
    pairs = [(arm, PROPOSED) for arm in finished.configs if arm != PROPOSED]
    labels = {arm: arm.replace("_", " ") for arm in finished.configs}
    return _found(finished, Comparison(SECTIONS, pairs=pairs, labels=labels))


def _examine_sources(finished: Finished) -> Found:
    """Every source, and what guidance gains there."""
    sources = dict.fromkeys(arm.partition("_")[2] for arm in finished.configs)
    models = {"cbam": "CBAM", "mga": "MGA"}
    labels = {
        f"{model}_{source}": f"{name}, tested on {source}"
        for source in sources
        for model, name in models.items()
    }
    pairs = [(f"mga_{source}", f"cbam_{source}") for source in sources]
    return _found(finished, Comparison(SECTIONS, pairs=pairs, labels=labels))


def _found(finished: Finished, comparison: Comparison) -> Found:
    rows = measure_arms(finished, comparison)
    heading = next(section for section, metrics in SECTIONS.items() if metrics is BINARY)
    own = [row for row in rows if row.table == heading]
    figure = arms_figure(own, path=finished.out / "arms.png")
    return Found(rows, figures=[figure])


STUDIES = {
    "ablations": Study(
        title="One change at a time of the proposed model",
        source="Paper, §6.3",
        plan="configs/experiments/ablations.py",
        examine=_examine_ablations,
    ),
    "leave_one_source_out": Study(
        title="Each source in turn as the test set",
        source="",
        plan="configs/experiments/leave_one_source_out.py",
        examine=_examine_sources,
    ),
}
