"""Section of a run's page about the sets that it was judged by and not trained on."""

from collections.abc import Mapping
from typing import Any

from mgajax.reporting.classifier_section import classifier_blocks
from mgajax.reporting.html.blocks import Block, Caution, Items, Row, Section, Table
from mgajax.reporting.html.page import Page
from mgajax.reporting.reported_run import ReportedRun, SplitResults
from mgajax.reporting.segmenter_section import segmenter_blocks
from mgajax.reporting.tables.number import Number, percent

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "classification": {
        "three_class.accuracy": "Accuracy, classes",
        "covid_vs_rest.recall": "Recall",
        "covid_vs_rest.specificity": "Specificity",
        "covid_vs_rest.roc_auc": "ROC AUC",
        "calibration.ece.top_label": "Calibration error",
    },
    "segmentation": {
        "pooled.dice": "Dice, all pixels",
        "pooled.iou": "IoU, all pixels",
        "per_image.dice": "Dice, mean over slices",
    },
}
"""By task: place in a report -> heading; in percent."""

LEAK = "People of this set trained the run: its numbers are too good. No result to compare."


def set_sections(page: Page, run: ReportedRun) -> list[Section]:
    """A table of all other sets, and a section for each; nothing without one."""
    if not run.other_sets:
        return []
    return [
        Section("Other sets", (_table(run),)),
        *(
            Section(f"Results on another set: {results.split}", tuple(_blocks(page, run, results)))
            for results in run.other_sets
        ),
    ]


def _blocks(page: Page, run: ReportedRun, results: SplitResults) -> list[Block]:
    metrics = results.metrics
    blocks: list[Block] = [Caution(LEAK)] if metrics["leaks"] else []
    blocks.append(Items(tuple(metrics["remarks"])))
    if metrics.get("called"):
        blocks.append(_confusion_table(metrics, results.split))
    return blocks + (classifier_blocks if run.classifies else segmenter_blocks)(page, results)


def _table(run: ReportedRun) -> Table:
    """A row a set; the run's own test split, if it was judged by it, stands first."""
    own_results = [results for results in run.evaluations if results.split == "test"]
    columns = COLUMNS[str(run.config["task"])]
    rows: tuple[Row, ...] = tuple(
        (
            _name(results),
            str(results.metrics.get("set_kind", "built data set")),
            Number(results.metrics["n"], digits=0),
            Number(results.metrics["patients"], digits=0),
            *(percent(results.metrics, path) for path in columns),
            *_shares(results.metrics),
            _unit(results.metrics),
        )
        for results in (*own_results, *run.other_sets)
    )
    called = [f"Called {name}" for name in run.other_sets[0].metrics.get("called", {})]
    heads = ("Set", "Kind", "Slices", "Patients", *columns.values(), *called, "Intervals over")
    positive = run.other_sets[0].metrics.get("positive")
    rest = f"; recall, specificity and ROC AUC: {positive} vs rest" if positive else ""
    caption = f"Sets that the run was not trained on, percent{rest}"
    return Table(
        heads, rows, caption=caption, name="other_sets", faint=frozenset(range(len(own_results)))
    )


def _name(results: SplitResults) -> str:
    if "set" not in results.metrics:
        return "its own test split"
    return f"{results.split} (leaks)" if results.metrics["leaks"] else results.split


def _shares(metrics: Mapping[str, Any]) -> list[Number]:
    """The share of all slices that each class is called; nothing of a segmenter."""
    if "three_class" not in metrics:
        return []
    counts = [
        sum(column) for column in zip(*metrics["three_class"]["confusion_matrix"], strict=True)
    ]
    return [Number(100 * count / metrics["n"], digits=1) for count in counts]


def _unit(metrics: Mapping[str, Any]) -> str:
    return f"{metrics['intervals']['settings']['unit']}s" if metrics["intervals"] else "–"


def _confusion_table(metrics: Mapping[str, Any], name: str) -> Table:
    """The confusion in words: what the slices of each class are called."""
    names, confusion = metrics["class_names"], metrics["three_class"]["confusion_matrix"]
    rows: list[Row] = [
        (
            true,
            Number(sum(counts), digits=0),
            *(
                Number(100 * count / sum(counts) if sum(counts) else None, digits=1)
                for count in counts
            ),
        )
        for true, counts in zip(names, confusion, strict=True)
    ]
    rows.append(("all", Number(metrics["n"], digits=0), *_shares(metrics)))
    heads = ("True class", "Slices", *(f"called {other}, %" for other in names))
    caption = "What the slices of each class are called"
    return Table(heads, tuple(rows), caption=caption, name=f"{name}_called")
