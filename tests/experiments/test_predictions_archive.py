"""Kept predictions give a study's numbers again, to the last bit."""

import json
import shutil
from pathlib import Path

import pytest
from pretended_runs import predicted, pretended
from unrendered import leave_blank

from mgajax.errors import DataError
from mgajax.experiments.execution import RunOutcome, RunStatus
from mgajax.experiments.experiment import Order, write_results
from mgajax.experiments.predictions_archive import ARCHIVE, keep_predictions, recompute
from mgajax.experiments.studies import STUDIES
from mgajax.reporting.tables.measurements import Measurement

STUDY = STUDIES["claims"]
SKILLS = {"resnet18": 0.5, "resnet18_cbam": 1.0, "mga_resnet18": 3.0}
COMMITTED = Path(__file__).parents[2] / "docs" / "results"


@pytest.fixture(autouse=True)
def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_blank(monkeypatch)


@pytest.fixture
def archived(tmp_path: Path) -> Path:
    """An experiment's folder."""
    finished = pretended(STUDY.plan, folder=tmp_path / "claims", skills=SKILLS)
    outcomes = [
        RunOutcome(run, RunStatus.FINISHED)
        for runs in finished.arms.values()
        for run in runs.values()
    ]
    order = Order(name="claims", workdir=finished.out, budget="small", seeds=2)
    write_results(order, STUDY.examine(finished), outcomes)
    assert keep_predictions(finished) == finished.out / ARCHIVE
    shutil.rmtree(finished.out / "runs")
    return finished.out


def measured(rows: list[Measurement]) -> list[Measurement]:
    return [row for row in rows if row.status == "measured"]


def of_file(folder: Path) -> list[Measurement]:
    content = json.loads((folder / "results.json").read_text())
    return measured([Measurement.from_json(row) for row in content["rows"]])


def test_the_same_rows_come_from_kept_predictions(archived: Path, tmp_path: Path) -> None:
    again = recompute(archived, into=tmp_path / "again")
    assert measured(list(again.rows)) == of_file(archived)


def test_equal_predictions_are_equal_bytes(tmp_path: Path) -> None:
    contents = []
    for name in ("one", "two"):
        finished = pretended(STUDY.plan, folder=tmp_path / name, skills=SKILLS)
        keep_predictions(finished)
        contents.append((tmp_path / name / ARCHIVE).read_bytes())
    assert contents[0] == contents[1]


def test_a_changed_prediction_changes_the_rows(archived: Path, tmp_path: Path) -> None:
    finished = pretended(STUDY.plan, folder=tmp_path / "other", skills=SKILLS)
    planned = next(iter(finished.arms["mga_resnet18"].values()))
    other = predicted(skill=0.0, seed=9)
    other.write_csv(planned.folder / "evaluation" / "test_predictions.csv")
    keep_predictions(finished)
    shutil.copy(finished.out / ARCHIVE, archived / ARCHIVE)
    again = recompute(archived, into=tmp_path / "again")
    assert measured(list(again.rows)) != of_file(archived)


def test_missing_files_are_reported(archived: Path, tmp_path: Path) -> None:
    (archived / ARCHIVE).write_bytes(b"no archive")
    with pytest.raises(DataError, match=ARCHIVE):
        recompute(archived, into=tmp_path / "again")


@pytest.mark.slow(finds="published rows that do not follow from the predictions kept beside them")
@pytest.mark.parametrize(
    "name", sorted(path.parent.name for path in COMMITTED.glob(f"*/{ARCHIVE}"))
)
def test_published_rows_follow_from_the_kept_predictions(name: str, tmp_path: Path) -> None:
    again = measured(list(recompute(COMMITTED / name, into=tmp_path).rows))
    for row, published in zip(again, of_file(COMMITTED / name), strict=True):
        assert (row.table, row.name, row.metric) == (
            published.table,
            published.name,
            published.metric,
        )
        assert row.verdict == published.verdict
        for key in ("value", "low", "high", "method_low", "method_high"):
            assert getattr(row, key) == pytest.approx(getattr(published, key), abs=1e-9), key
