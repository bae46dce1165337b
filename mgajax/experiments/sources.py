"""Leave-one-source-out: each source in turn is the test set; results by source and for all together."""

from mgajax.evaluation.classifier_comparison import paired_replicates
from mgajax.evaluation.predictions import concatenate
from mgajax.experiments.classifiers import SECTIONS
from mgajax.experiments.compare import (
    ByArm,
    contrast_rows,
    measure,
    measure_arms,
    predictions_of,
)
from mgajax.experiments.study import RESAMPLING, ArmComparison, Study, StudyInput, StudyResults
from mgajax.reporting.figures.experiment_figures import arms_figure
from mgajax.reporting.tables.measurements import Measurement

MODELS = {"cbam": "CBAM", "mga": "MGA"}
ALL_SOURCES = "all sources"
POOLED = (
    "All sources: every slice once, as judged by the network that never saw its source. Its "
    "ROC AUC ranks the scores of several networks together."
)


def _examine(finished: StudyInput) -> StudyResults:
    """Results for all sources together, then for each source, and the gain of mask guidance."""
    sources = dict.fromkeys(arm.partition("_")[2] for arm in finished.configs)
    labels = {
        f"{model}_{source}": f"{name}, tested on {source}"
        for source in sources
        for model, name in MODELS.items()
    }
    pairs = [(f"mga_{source}", f"cbam_{source}") for source in sources]
    pooled = _pooled_rows(finished)
    rows = [*pooled, *measure_arms(finished, ArmComparison(SECTIONS, pairs=pairs, labels=labels))]
    heading = next(iter(SECTIONS))
    figure = arms_figure(
        [row for row in rows if row.table == heading], path=finished.out / "arms.png"
    )
    note = POOLED if pooled else f"{ALL_SOURCES.capitalize()}: needs a seed without failed runs."
    return StudyResults(rows, figures=[figure], notes=[note])


def _pooled_rows(finished: StudyInput) -> list[Measurement]:
    """Both models on the slices of all sources, and their difference; none if no seed is complete."""
    arms = _pool_sources(finished)
    rows = []
    for heading, metrics in SECTIONS.items():
        for model, by_seed in arms.items():
            name = f"{MODELS[model]}, {ALL_SOURCES}"
            rows += measure(by_seed, table=heading, name=name, metrics=metrics)
        if arms:
            rows += contrast_rows(
                arms,
                {"mga": 1.0, "cbam": -1.0},
                table=f"{heading}: differences",
                name=f"{MODELS['mga']} minus {MODELS['cbam']}, {ALL_SOURCES}",
                metrics=metrics,
            )
    return rows


def _pool_sources(finished: StudyInput) -> ByArm:
    """Every metric over all sources, by model and seed; only seeds in which all runs finished."""
    seeds = set.intersection(*(set(finished.arms.get(arm, {})) for arm in finished.configs))
    tables = {
        f"{model}/{seed}": concatenate(
            [
                predictions_of(finished.arms[arm][seed])
                for arm in finished.configs
                if arm.startswith(f"{model}_")
            ]
        )
        for model in MODELS
        for seed in sorted(seeds)
    }
    if not tables:
        return {}
    replicates = paired_replicates(tables, settings=RESAMPLING)
    return {
        model: {seed: replicates[f"{model}/{seed}"] for seed in sorted(seeds)} for model in MODELS
    }


STUDIES = {
    "leave_one_source_out": Study(
        title="Each source in turn as the test set",
        source="",
        plan="configs/experiments/leave_one_source_out.py",
        examine=_examine,
    ),
}
