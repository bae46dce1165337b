"""Tables 1 and 2, Figures 3 and 4: the content of a curated, built or drawn set; nothing is trained."""

import json

from mgajax.experiments.study import Study, StudyInput, StudyResults
from mgajax.reporting.dataset_report import report_dataset
from mgajax.reporting.tables.measurements import Measurement


def _examine(finished: StudyInput) -> StudyResults:
    """The counts of `mgajax report --data`, and its figures."""
    folder = finished.data.place({})
    assert folder is not None, "nothing special is asked of the data set"
    report = report_dataset(folder, out=finished.out, split=finished.split)
    statistics = json.loads((finished.out / "statistics.json").read_text(encoding="utf-8"))
    rows = [
        _count("Slices by source (Table 1)", row["source"], name, count)
        for row in statistics["table1"]
        for name, count in zip(statistics["classes"], row["slices"], strict=True)
    ]
    rows += [
        _count("Slices by split (Table 2)", split, name, count)
        for split, counts in statistics["table2"].items()
        for name, count in counts.items()
    ]
    pictures = [path for path in report.files if path.suffix == ".png"]
    return StudyResults(
        rows, figures=pictures, files=[path for path in report.files if path not in pictures]
    )


def _count(table: str, name: str, metric: str, count: int) -> Measurement:
    return Measurement(table, name, metric, value=float(count), scale="number")


STUDIES = {
    "dataset": Study(
        title="What the data set holds",
        source="Paper, Tables 1 and 2, Figures 3 and 4",
        plan="",
        examine=_examine,
    ),
}
