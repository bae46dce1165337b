"""Tables 4 and 5 and the ablations of the proposed model: classifiers side by side."""

from collections.abc import Mapping

from mgajax import paper
from mgajax.experiments.compare import measure_arms
from mgajax.experiments.study import (
    ATTENTION,
    BINARY,
    THREE_CLASS,
    ArmComparison,
    Study,
    StudyInput,
    StudyResults,
)
from mgajax.reporting.figures.experiment_figures import arms_figure

SECTIONS = {
    "COVID-19 against the rest": BINARY,
    "Three classes": THREE_CLASS,
    "Attention on lesions": ATTENTION,
}

MODELS = {arm: paper.model_name(arm) for arm in paper.TABLE4}


def _by_path(table: Mapping[str, paper.PaperRow]) -> dict[str, dict[str, float]]:
    """A table of the paper, with each metric under its path in an evaluation's report."""
    return {
        arm: {f"covid_vs_rest.{key}": value for key, value in row.items()}
        for arm, row in table.items()
    }


TABLE4 = ArmComparison(
    sections=SECTIONS,
    pairs=[
        ("mga_resnet18", "resnet18_cbam"),
        ("mga_resnet18", "resnet18"),
        ("resnet18_cbam", "resnet18"),
    ],
    paper=_by_path(paper.TABLE4),
    labels=MODELS,
)

TABLE5 = ArmComparison(
    sections=SECTIONS,
    pairs=[("stage3", "stage1"), ("stage3", "stage2")],
    paper=_by_path(paper.TABLE5),
    labels={f"stage{number}": f"MGA at stage {number}" for number in (1, 2, 3)},
)

UNCHANGED = "proposed"
"""The arm that every ablation is compared with."""

PAPERS_SPLIT = (
    "The paper's rows are on another, unpublished split of the curated set; they show what it "
    "reports and are no target on drawn slices."
)


def examine(finished: StudyInput, comparison: ArmComparison) -> StudyResults:
    """The tables of a comparison of arms, and its figure."""
    rows = measure_arms(finished, comparison)
    heading = next(iter(comparison.sections))
    figure = arms_figure(
        [row for row in rows if row.table == heading], path=finished.out / "arms.png"
    )
    return StudyResults(rows, figures=[figure], notes=[PAPERS_SPLIT] if comparison.paper else [])


def _examine_ablations(finished: StudyInput) -> StudyResults:
    """Every arm, and how it differs from the proposed model."""
    pairs = [(arm, UNCHANGED) for arm in finished.configs if arm != UNCHANGED]
    labels = {arm: arm.replace("_", " ") for arm in finished.configs}
    return examine(finished, ArmComparison(SECTIONS, pairs=pairs, labels=labels))


STUDIES = {
    "table4": Study(
        title="Five classifiers",
        source="Paper, Table 4",
        plan="configs/experiments/table4.py",
        examine=lambda finished: examine(finished, TABLE4),
    ),
    "table5": Study(
        title="Where the mask guides the attention",
        source="Paper, Table 5",
        plan="configs/experiments/table5.py",
        examine=lambda finished: examine(finished, TABLE5),
    ),
    "ablations": Study(
        title="One change at a time of the proposed model",
        source="Paper, §6.3",
        plan="configs/experiments/ablations.py",
        examine=_examine_ablations,
    ),
}
