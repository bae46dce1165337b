"""The section of a run's page on a classifier's results on one split."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from mgajax.evaluation.bootstrap import IntervalSettings
from mgajax.evaluation.predictions import Predictions
from mgajax.evaluation.ranking import Curve, RankingCurves, ranking_curves
from mgajax.evaluation.scored_examples import ScoredExamples, aggregate_patients
from mgajax.paper import TABLE4
from mgajax.reporting.figures.comparison_figures import (
    ComparisonRow,
    comparison_figure,
    interval_note,
)
from mgajax.reporting.figures.evaluation_figures import (
    calibration_figure,
    confusion_figure,
    ranking_figure,
)
from mgajax.reporting.figures.style import label_sentence
from mgajax.reporting.html.blocks import Block, Details, Figure, Row, Table
from mgajax.reporting.html.page import Page
from mgajax.reporting.reported_run import SplitResults
from mgajax.reporting.split_blocks import patient_fold, source_table, split_picture
from mgajax.reporting.tables.metrics_tables import OVERLAP
from mgajax.reporting.tables.number import Number, number, percent

RESULTS = {
    "covid_vs_rest.accuracy": "{positive} vs rest: accuracy",
    "covid_vs_rest.f1": "{positive} vs rest: F1",
    "covid_vs_rest.recall": "{positive} vs rest: recall",
    "covid_vs_rest.precision": "{positive} vs rest: precision",
    "covid_vs_rest.specificity": "{positive} vs rest: specificity",
    "covid_vs_rest.roc_auc": "{positive} vs rest: ROC AUC",
    "covid_vs_rest.average_precision": "{positive} vs rest: average precision",
    "three_class.accuracy": "{classes} classes: accuracy",
    "three_class.macro_f1": "{classes} classes: macro F1",
    "three_class.macro_recall": "{classes} classes: macro recall",
    "three_class.roc_auc.macro": "{classes} classes: macro ROC AUC",
    "calibration.ece.top_label": "calibration error, winning class",
    "calibration.ece.covid_vs_rest": "calibration error, {positive} vs rest",
}
"""Rows of the first table, by their place in a report; all in percent."""

BY_SOURCE = {
    "three_class.accuracy": "Accuracy",
    "covid_vs_rest.f1": "F1",
    "covid_vs_rest.roc_auc": "ROC AUC",
}


def classifier_blocks(page: Page, results: SplitResults) -> list[Block]:
    """Numbers, curves, confusion, calibration, sources and patients."""
    metrics, split = results.metrics, results.split
    blocks: list[Block] = [_results(metrics, split)]
    if results.predictions is not None:
        blocks.append(_curves(page, metrics, results.predictions, split))
    blocks += [_confusion(page, metrics, split), _calibration(page, metrics, split)]
    blocks += [_classes(metrics, split), *_sources(page, metrics, split)]
    if metrics["per_patient"] and results.predictions is not None:
        blocks.append(_patients(metrics, results.predictions, split))
    if metrics.get("attention_overlap"):
        blocks.append(_overlap(metrics["attention_overlap"], split))
    return [*blocks, *split_picture(page, results)]


def _results(metrics: dict[str, Any], split: str) -> Table:
    """Slices beside patients, and the paper's numbers where the model is one of its own."""
    people = metrics["per_patient"]
    printed = {} if "set" in metrics else TABLE4.get(metrics["model"], {})
    paper = {f"covid_vs_rest.{key}": value for key, value in printed.items()}
    words = {"positive": metrics["positive"], "classes": len(metrics["class_names"])}
    rows: tuple[Row, ...] = tuple(
        (
            text.format(**words),
            percent(metrics, path),
            *([percent(people, path)] if people else []),
            *([Number(paper.get(path), digits=2)] if paper else []),
        )
        for path, text in RESULTS.items()
    )
    further_heads = (*(["Patients"] if people else []), *(["Paper, Table 4"] if paper else []))
    by_means = ". Patients: by the mean probabilities of their slices" if people else ""
    caption = f"{label_sentence(metrics)}{by_means}"
    heads = ("Percent", "Slices", *further_heads)
    return Table(heads, rows, caption=caption, name=f"{split}_results")


def _curves(
    page: Page, metrics: dict[str, Any], predictions: Predictions, split: str
) -> Figure | str:
    settings = (metrics["intervals"] or {}).get("settings")
    rankings = ranking_curves(
        predictions.probabilities,
        predictions.labels,
        predictions.patients if metrics["patients"] else None,
        class_names=tuple(metrics["class_names"]),
        settings=IntervalSettings(
            replicates=settings["replicates"] if settings else 0,
            seed=settings["seed"] if settings else 0,
            confidence=settings["confidence"] if settings else 0.95,
        ),
    )
    if not rankings:
        return "No ROC and no precision-recall curves: all slices are of one class."
    area = number(metrics, "covid_vs_rest.roc_auc")
    return page.draw(
        f"{split}_curves",
        lambda path: ranking_figure(rankings, metrics=metrics, path=path),
        alt=f"ROC and precision-recall curves with bands; ROC AUC of {metrics['positive']} {area}",
        data=page.table(_curve_lines(rankings), name=f"{split}_curves"),
    )


def _curve_lines(rankings: dict[str, RankingCurves]) -> Iterator[list[Any]]:
    """Every point of every curve, then its band."""
    yield ["class", "curve", "part", "x", "y", "low", "high"]
    for name, ranking in rankings.items():
        kinds: dict[str, Curve] = {"roc": ranking.roc, "precision_recall": ranking.precision_recall}
        for kind, curve in kinds.items():
            for x, y in zip(curve.x.tolist(), curve.y.tolist(), strict=True):
                yield [name, kind, "curve", x, y, "", ""]
            if curve.low is not None and curve.high is not None:
                ends = zip(
                    curve.grid.tolist(), curve.low.tolist(), curve.high.tolist(), strict=True
                )
                yield from ([name, kind, "band", x, "", low, high] for x, low, high in ends)


def _confusion(page: Page, metrics: dict[str, Any], split: str) -> Figure:
    names, counts = metrics["class_names"], metrics["three_class"]["confusion_matrix"]
    lines = [["true class", *(f"called {name}" for name in names)]]
    lines += [[name, *row] for name, row in zip(names, counts, strict=True)]
    description = "; ".join(
        f"of {sum(row)} {name}: "
        + ", ".join(f"{count} {called}" for count, called in zip(row, names, strict=True))
        for name, row in zip(names, counts, strict=True)
    )
    return page.draw(
        f"{split}_confusion",
        lambda path: confusion_figure(metrics, path=path),
        alt=f"Confusion matrix; {description}",
        data=page.table(lines, name=f"{split}_confusion"),
    )


def _calibration(page: Page, metrics: dict[str, Any], split: str) -> Figure:
    reliability = metrics["calibration"]["reliability"]
    keys = ("low", "high", "count", "confidence", "observed")
    lines = [["judged", *keys]]
    lines += [
        [kind, *(row[key] for key in keys)] for kind, rows in reliability.items() for row in rows
    ]
    error = number(metrics, "calibration.ece.top_label")
    return page.draw(
        f"{split}_calibration",
        lambda path: calibration_figure(metrics, path=path),
        alt=f"Reliability diagrams; expected calibration error of the winning class {error}",
        data=page.table(lines, name=f"{split}_calibration"),
    )


def _classes(metrics: dict[str, Any], split: str) -> Table:
    rows = tuple(
        (
            name,
            Number(metrics["three_class"]["per_class"][name]["support"], digits=0),
            *(
                percent(metrics, f"three_class.per_class.{name}.{key}")
                for key in ("precision", "recall", "f1")
            ),
            percent(metrics, f"three_class.roc_auc.{name}"),
        )
        for name in metrics["class_names"]
    )
    heads = ("Class", "Slices", "Precision", "Recall", "F1", "ROC AUC")
    return Table(heads, rows, caption="Each class, percent", name=f"{split}_classes")


def _sources(page: Page, metrics: dict[str, Any], split: str) -> list[Block]:
    sources = metrics["per_source"]
    if not sources:
        return []
    rows = [
        ComparisonRow(
            f"{name}, {block['n']:,} slices", {key: percent(block, key) for key in BY_SOURCE}
        )
        for name, block in sources.items()
    ]
    positive = metrics["positive"]
    titles = {key: f"{text}, %" for key, text in BY_SOURCE.items()}
    accuracy = {name: percent(block, "three_class.accuracy") for name, block in sources.items()}
    best_source = max(accuracy, key=lambda name: accuracy[name].value or 0.0)
    return [
        page.draw(
            f"{split}_sources",
            lambda path: comparison_figure(
                rows,
                columns=titles,
                path=path,
                title=f"Each source and its slices: accuracy over the classes; {positive} vs rest",
                measured=interval_note(metrics),
            ),
            alt=f"Scores of {len(rows)} sources with intervals; highest accuracy "
            f"{accuracy[best_source]} in {best_source}",
        ),
        source_table(
            metrics,
            columns=BY_SOURCE,
            caption=f"Each source, percent; F1 and ROC AUC: {positive} vs rest",
            split=split,
        ),
    ]


def _patients(metrics: dict[str, Any], predictions: Predictions, split: str) -> Details:
    names = metrics["class_names"]
    examples = ScoredExamples(
        predictions.probabilities, predictions.labels, predictions.patients, None
    )
    people = aggregate_patients(examples, positive=names.index(metrics["positive"]))
    predicted = people.probabilities.argmax(axis=1)
    slices = np.unique(predictions.patients, return_counts=True)[1]
    rows = (
        (
            str(people.names[i]),
            Number(int(slices[i]), digits=0),
            names[people.labels[i]],
            names[predicted[i]] + ("" if predicted[i] == people.labels[i] else " (wrong)"),
            *(Number(100 * chance, digits=1) for chance in people.probabilities[i].tolist()),
        )
        for i in np.lexsort((people.names, predicted == people.labels))
    )
    errors = int((predicted != people.labels).sum())
    return patient_fold(
        rows,
        heads=("Class", "Called", *(f"{name}, %" for name in names)),
        title=f"{len(people.names):,} patients, {errors:,} called wrongly",
        caption="Mean probabilities of each patient",
        split=split,
    )


def _overlap(overlap: dict[str, Any], split: str) -> Table:
    rows = tuple(
        (text, Number(overlap[key]["mean"], overlap[key]["low"], overlap[key]["high"]))
        for key, text in OVERLAP.items()
        if key in overlap  # an older report has other ones
    )
    caption = (
        f"Attention against the lesions of {overlap['slices_with_lesion']:,} slices that have one"
    )
    heads = ("Mean over slices", "Value")
    return Table(heads, rows, caption=caption, name=f"{split}_attention")
