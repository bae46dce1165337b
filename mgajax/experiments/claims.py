"""The paper's claims as contrasts of arms, each with its intervals and a verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mgajax.experiments.classifiers import MODELS, SECTIONS
from mgajax.experiments.compare import ByArm, arm_replicates, contrast_rows, measure_arms
from mgajax.experiments.fractions import MORE_AT_LITTLE_DATA, gain_weights, label
from mgajax.experiments.study import BINARY, ArmComparison, Metrics, Study, StudyInput, StudyResults
from mgajax.experiments.verdicts import by_verdict
from mgajax.reporting.figures.experiment_figures import arms_figure
from mgajax.reporting.tables.measurements import Measurement

PERFORMANCE: Metrics = {
    "covid_vs_rest.accuracy": "Accuracy",
    "covid_vs_rest.f1": "F1",
    "covid_vs_rest.recall": "Recall",
    "covid_vs_rest.roc_auc": "ROC AUC",
    "three_class.accuracy": "Three-class accuracy",
}
ATTENTION: Metrics = {
    "attention.rank_auc": "ROC AUC of pixels",
    "attention.attention_in_lesion": "Attention on lesion",
}


@dataclass(frozen=True)
class Claim:
    """A claim that holds if a weighted sum of arms is above zero.

    Attributes:
      text: the claim.
      weights: of the arms.
      metrics: those that test the claim.
    """

    text: str
    weights: Mapping[str, float]
    metrics: Metrics


CLAIMS = (
    Claim(
        "MGA is better than CBAM (Table 4)",
        {"mga_resnet18": 1.0, "resnet18_cbam": -1.0},
        PERFORMANCE,
    ),
    Claim(
        "CBAM is better than ResNet18 (Table 4)",
        {"resnet18_cbam": 1.0, "resnet18": -1.0},
        PERFORMANCE,
    ),
    Claim(
        "MGA is better than ResNet18 (Table 4)",
        {"mga_resnet18": 1.0, "resnet18": -1.0},
        PERFORMANCE,
    ),
    Claim("Guidance gains at 20 % of the data (Fig. 8)", gain_weights({20: 1.0}), PERFORMANCE),
    Claim("Guidance gains at 30 % of the data (Fig. 8)", gain_weights({30: 1.0}), PERFORMANCE),
    Claim("Guidance gains at 40 % of the data (Fig. 8)", gain_weights({40: 1.0}), PERFORMANCE),
    Claim(
        "It gains more at 20 to 40 % than at 80 % (Fig. 8)",
        gain_weights(MORE_AT_LITTLE_DATA),
        PERFORMANCE,
    ),
    Claim(
        "Guided attention lies on lesions, unguided less so (Fig. 9)",
        {"mga_resnet18": 1.0, "resnet18_cbam": -1.0},
        ATTENTION,
    ),
    Claim(
        "Guided attention at 20 % is ahead of unguided at 80 % (Fig. 9)",
        {"multi_20": 1.0, "single_80": -1.0},
        ATTENTION,
    ),
    Claim(
        "Guided attention at 40 % is ahead of unguided at 80 % (Fig. 9)",
        {"multi_40": 1.0, "single_80": -1.0},
        ATTENTION,
    ),
)


def _examine(finished: StudyInput) -> StudyResults:
    judged, untested = judged_claims(finished, CLAIMS)
    labels = {arm: MODELS[arm] if arm in MODELS else label(arm) for arm in finished.configs}
    rows = [*judged, *measure_arms(finished, ArmComparison(SECTIONS, labels=labels))]
    return StudyResults(rows, figures=[performance_figure(rows, finished)], notes=untested)


def judged_claims(
    finished: StudyInput, claims: Sequence[Claim]
) -> tuple[list[Measurement], list[str]]:
    """A row with a verdict for each metric of each claim, and a note for each claim that was not run."""
    arms = arm_replicates(finished)
    rows_by_claim = [(claim, _measure_claim(arms, claim)) for claim in claims]
    rows = [row for _, judged in rows_by_claim for row in judged]
    untested = dict.fromkeys(claim.text for claim, judged in rows_by_claim if not judged)
    return rows, [f"Not run: {text}" for text in untested]


def performance_figure(rows: Sequence[Measurement], finished: StudyInput) -> Path:
    """Draw how the arms tell COVID-19 from the rest."""
    heading = next(section for section, metrics in SECTIONS.items() if metrics is BINARY)
    shown = [row for row in rows if row.table == heading]
    return arms_figure(shown, path=finished.out / "arms.png")


def _measure_claim(arms: ByArm, claim: Claim) -> list[Measurement]:
    table = "Claims on performance" if claim.metrics is PERFORMANCE else "Claims on attention"
    rows = contrast_rows(arms, claim.weights, table=table, name=claim.text, metrics=claim.metrics)
    return [replace(row, note=by_verdict(rows)) for row in rows]


STUDIES = {
    "claims": Study(
        title="The paper's claims",
        source="Paper, Tables 4 and 5, Figures 8 and 9",
        plan="configs/experiments/claims.py",
        examine=_examine,
    ),
}
