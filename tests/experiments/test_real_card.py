"""The model card: every sentence follows from rows, and what was not measured is not told."""

from typing import Any

import pytest

from mgajax.experiments.real import classifiers, segmenters
from mgajax.experiments.real.model_card import card_page
from mgajax.reporting.tables.limits import LIMITS
from mgajax.reporting.tables.measurements import Measurement

ARM = "ResNet18, drawn slices"


def content(*rows: Measurement, **design: Any) -> dict[str, Any]:
    return {
        "title": "Both steps",
        "command": "mgajax experiment real --workdir out",
        "design": {
            "folds": 3,
            "seeds": 2,
            "classes": ["Normal", "COVID-19"],
            "guide": "HMSANet",
            "drawn": {"slices": 4000, "people": 1000, "steps": [1200]},
            "stands_in": False,
            "preparation": {"crop": "foreground"},
            "preparation_version": 2,
            "recipes": {"U-Net": {"Learning rate": "0.001", "An epoch has": "every slice once"}},
            **design,
        },
        "sets": {
            "slices": {
                "zhao": {"slices": 257, "people": 150, "annotated masks": 0, "COVID-19": 257}
            }
        },
        "rows": [row.to_json() for row in rows],
        "notes": ["3 folds of people."],
    }


def row(table: str, name: str, metric: str, value: float, **further: Any) -> Measurement:
    return Measurement(table, name, metric, value=value, **further)


def failures(card: str) -> list[str]:
    section = card.partition("## Known failures")[2].partition("\n## ")[0]
    return [line.removeprefix("- ") for line in section.strip().splitlines()]


def test_a_card_says_what_the_networks_are_and_learned_from() -> None:
    card = card_page(content())
    assert "A row stands for 6 trained networks" in card
    assert "4,000 drawn slices of 1,000 people who do not exist, for 1,200 steps" in card
    assert "predicted by HMSANet" in card
    assert "| U-Net | 0.001 | every slice once |" in card
    assert "| step 2: slices of the classes | zhao | 257 | 150 | 0 | 257 |" in card
    assert all(limit in card for limit in LIMITS)
    assert failures(card) == ["None was measured."]
    assert "stand in" not in card
    drawn = card_page(content(stands_in=True, guide="", drawn={"steps": []}))
    assert "nothing below is about people" in drawn
    assert "guide classifiers are annotated." in drawn
    assert "Segmenters" not in drawn
    first = card_page(content(classes=[]))
    assert "Segmenters outline" in first
    assert "lassifiers" not in first.partition("\n## ")[2].partition("\n## ")[0]


def test_the_worst_source_and_healthy_slices_are_told() -> None:
    by_source = [
        row(segmenters.BY_SOURCE, "U-Net", source, dice, low=dice - 0.1, high=dice + 0.1)
        for source, dice in (("jun", 0.4), ("medseg", 0.6), ("morozov", 0.2))
    ]
    marked = row(segmenters.HEALTHY, "U-Net", segmenters.MARKED["healthy.marked"], 0.25)
    assert failures(card_page(content(*by_source, marked))) == [
        "U-Net: pooled Dice 20.0 [10.0, 30.0] on its worst source, morozov, and 60.0 [50.0, 70.0] on its "
        "best, medseg.",
        "U-Net: marks a lesion on 25.0 % of the slices without one.",
    ]


def test_the_source_alone_the_outside_set_and_calibration_are_told() -> None:
    rows = [
        row(classifiers.SLICES, ARM, "ROC AUC", 0.8),
        row(classifiers.SLICES, classifiers.ALONE, "ROC AUC", 0.83),
        row(
            classifiers.AHEAD,
            f"{ARM} minus {classifiers.ALONE}",
            "ROC AUC",
            -0.03,
            verdict="undecided: one seed",
        ),
        row(classifiers.OUTSIDE, ARM, "ROC AUC", 0.65),
        row(classifiers.OUTSIDE, ARM, "Accuracy", 0.475),
        row(classifiers.PROBABILITIES, f"{ARM}, before", "ECE, COVID-19", 0.2, scale="number"),
        row(classifiers.PROBABILITIES, f"{ARM}, after", "ECE, COVID-19", 0.1, scale="number"),
    ]
    assert failures(card_page(content(*rows))) == [
        "Whoever knows of a slice only its source has a ROC AUC of 83.0; 0 of 1 networks have a higher "
        "one.",
        f"{ARM} minus the source alone: ROC AUC -3.0 (undecided: one seed).",
        f"{ARM}: ROC AUC 80.0 on unseen people of its own sources, 65.0 on the outside set (accuracy "
        "there 47.5).",
        f"{ARM}: ECE, COVID-19 0.2 as it is, 0.1 after a temperature fitted on validation people.",
    ]


@pytest.mark.parametrize(("low", "is_told"), [(0.45, True), (None, True), (0.55, False)])
def test_evidence_beside_lesions_is_told(low: float | None, is_told: bool) -> None:
    name = f"{ARM}, DeepLIFT Rescale"
    measured = row("Attributions on annotated lesions", name, "ROC AUC of pixels", 0.6, low=low)
    assert card_page(content(measured)).count("does not tell annotated lesions") == is_told
