"""What studies make of finished runs, with drawn predictions; and what is written."""

import csv
import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pretended_runs import SLICES, no_data, predicted, pretended
from unrendered import leave_blank

from mgajax import config as configs
from mgajax import paper
from mgajax.cli.experiment import NAMES, PARTS
from mgajax.errors import ConfigError, LeakageError
from mgajax.evaluation.evaluation_report import results_folder
from mgajax.evaluation.segmentation import metrics_from_counts
from mgajax.evaluation.segmentation_counts import collect_counts, count_slice
from mgajax.experiments import checkpoint_choice, claims
from mgajax.experiments.execution import RunOutcome, RunStatus
from mgajax.experiments.experiment import Order, run_experiment, write_results
from mgajax.experiments.fractions import GAIN
from mgajax.experiments.paper_masks import PREDICTED
from mgajax.experiments.studies import STUDIES
from mgajax.files import write_csv
from mgajax.schema import SOURCES
from mgajax.training.checkpoints import CheckpointName

TABLE4 = {"resnet18": 0.5, "resnet18_cbam": 1.0, "mga_resnet18": 3.0}
GUIDED = {"cbam": 1.0, "mga": 2.0}


@pytest.fixture
def rendered() -> None:
    """For a test that has figures rendered."""


@pytest.fixture(autouse=True)
def unrendered(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """For all others."""
    if "rendered" not in request.fixturenames:
        leave_blank(monkeypatch)


def test_every_study_is_listed_and_its_plan_loads() -> None:
    assert set(NAMES) == set(STUDIES)
    for study in STUDIES.values():
        for plan in filter(None, (study.plan, study.drawn_plan)):
            assert len(configs.load(plan)) > 1


def test_table4_has_intervals_seeds_and_the_papers_numbers(rendered, tmp_path: Path) -> None:
    results = STUDIES["table4"].examine(
        pretended(STUDIES["table4"].plan, folder=tmp_path, skills=TABLE4)
    )
    rows = {(row.table, row.name, row.metric): row for row in results.rows}
    mga = rows["COVID-19 against the rest", "ResNet18 + CBAM + MGA", "Accuracy"]
    assert mga.paper == pytest.approx(0.9515)
    assert mga.value == pytest.approx(np.mean(list(mga.seeds.values())))
    assert mga.low <= mga.value <= mga.high
    assert mga.spread == pytest.approx(np.std(list(mga.seeds.values()), ddof=1))
    assert rows["Three classes", "ResNet18 + CBAM + MGA", "Accuracy"].paper is None
    missing = rows["COVID-19 against the rest", "ResNet50", "Accuracy"]
    assert (missing.status, missing.value, missing.note) == ("failed", None, "out of memory")
    gain = rows[
        "COVID-19 against the rest: differences",
        "ResNet18 + CBAM + MGA minus ResNet18",
        "ROC AUC",
    ]
    assert gain.low > 0, "skills 3.0 and 0.5 are told apart"
    assert all(path.is_file() for path in results.figures)


def test_results_are_written_for_machines_and_people(tmp_path: Path) -> None:
    finished = pretended(
        STUDIES["table5"].plan, folder=tmp_path, skills={"stage1": 1.0, "stage3": 2.0}
    )
    outcomes = [
        RunOutcome(run, RunStatus.FINISHED)
        for runs in finished.arms.values()
        for run in runs.values()
    ]
    order = Order(name="table5", workdir=tmp_path, budget="smoke", seeds=2)
    results = write_results(order, STUDIES["table5"].examine(finished), outcomes)
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["command"] == (
        f"mgajax experiment table5 --workdir {tmp_path} --budget smoke --seeds 2"
    )
    assert content["seeds"] == [0, 1]
    assert {row["status"] for row in content["rows"]} == {"measured", "failed"}
    assert {run["folder"] for run in content["runs"]} >= {"runs/stage1-0"}
    assert content["provenance"]["jax"]
    assert all((tmp_path / name).is_file() for name in content["figures"] + content["files"])
    lines = list(csv.DictReader((tmp_path / "results.csv").read_text().splitlines()))
    assert len(lines) == len(content["rows"])
    page = (tmp_path / "results.md").read_text()
    assert "MGA at stage 2 | failed" in page
    assert "*in the paper*" in page
    assert results.files[-1].name == "results.json", "it is written last"


def test_fig8_has_a_curve_and_a_gain_for_each_share(rendered, tmp_path: Path) -> None:
    skills = {
        f"{task}_{p}": p / 40 + bonus
        for task, bonus in (("single", 0), ("multi", 1))
        for p in (20, 80)
    }
    results = STUDIES["fig8"].examine(
        pretended(STUDIES["fig8"].plan, folder=tmp_path, skills=skills)
    )
    gains = [row for row in results.rows if row.name.startswith("Multi-task minus")]
    assert {row.name.rpartition(", ")[2] for row in gains} == {"20 %", "80 %"}
    assert results.figures[0].is_file()
    assert sum(row.status == "failed" for row in results.rows) == 14 * 3


def test_the_gain_is_measured_with_best_and_newest_checkpoints(tmp_path: Path) -> None:
    """At 20 % the best checkpoint of the single task is an early one, and guidance seems to gain."""
    study = STUDIES["checkpoint_choice"]
    early, late = {"multi_20": 2.0, "single_20": 0.0}, {"multi_20": 2.0, "single_20": 2.0}
    finished = pretended(study.plan, folder=tmp_path, skills=early)
    for number, (arm, runs) in enumerate(finished.arms.items()):
        for seed, run in runs.items():
            for checkpoint, skill, step in (
                (CheckpointName.BEST, early[arm], 5),
                (CheckpointName.NEWEST, late[arm], 50),
            ):
                folder = results_folder(run.folder, checkpoint=checkpoint)
                folder.mkdir(exist_ok=True)
                (folder / "test.json").write_text(json.dumps({"checkpoint_step": step}))
                table = predicted(skill=skill, seed=100 * number + seed)
                table.write_csv(folder / "test_predictions.csv")
    results = study.examine(finished)
    rows = {(row.table, row.name, row.metric): row for row in results.rows}
    assert rows[f"{GAIN}: best checkpoint", "20 %", "ROC AUC"].low > 0.1
    assert abs(rows[f"{GAIN}: newest checkpoint", "20 %", "ROC AUC"].value) < 0.05
    assert rows["Newest minus best checkpoint", "Single-task, 20 %", "ROC AUC"].low > 0.1
    assert rows[checkpoint_choice.PLACE, "Single-task, 20 %", "Place"].value == 0.1
    assert results.figures[0].is_file()


def test_claims_are_decided_by_their_intervals(tmp_path: Path) -> None:
    skills = {**TABLE4, "multi_20": 3.0, "single_20": 0.0}
    study, seeds = claims.STUDIES["claims"], tuple(range(5))
    results = study.examine(pretended(study.plan, folder=tmp_path, skills=skills, seeds=seeds))
    judged = {(row.name, row.metric): row for row in results.rows if row.table.startswith("Claims")}
    assert judged["MGA is better than ResNet18 (Table 4)", "ROC AUC"].verdict == "holds"
    assert judged["Guidance gains at 20 % of the data (Fig. 8)", "Accuracy"].note.startswith(
        "holds: Accuracy"
    )
    assert "Not run: Guidance gains at 40 % of the data (Fig. 8)" in results.notes


def test_no_test_set_fits_all_printed_rows(tmp_path: Path) -> None:
    """The baselines fit 1,238 slices, the guided rows 1,216 = 38 × 32 only (checked by hand)."""
    study = STUDIES["forensics"]
    rows = study.examine(pretended(study.plan, folder=tmp_path, skills={"mga_resnet18": 1.0})).rows
    counts = {(r.name, r.metric): (r.value, r.note) for r in rows if r.table.startswith("Counts")}
    every, batches = "every slice", "full batches of 32"
    expected = {
        "ResNet18": "TP 447, FP 11, FN 75, TN 705",
        "ResNet50": "TP 458, FP 12, FN 64, TN 704",
        "DenseNet121": "TP 454, FP 14, FN 68, TN 702",
        "ResNet18 + CBAM": "TP 467, FP 16, FN 55, TN 700",
    }
    for name, message in expected.items():
        assert counts[name, every] == (1.0, f"{every}: {message}")
        assert counts[name, batches][0] == 0
    assert counts["ResNet18 + CBAM + MGA", every][0] == 0
    assert counts["ResNet18 + CBAM + MGA", batches] == (
        1.0,
        f"{batches}: TP 468, FP 13, FN 46, TN 689",
    )
    sizes = {row.name: row.note for row in rows if row.table.startswith("Test sets")}
    assert sizes["all rows"] == ""
    assert sizes["the four baselines"].endswith("; 1,238 slices, 522 of COVID-19")
    guided = sizes["the guided models (Tables 4 and 5)"]
    assert guided.startswith("1,216 slices, 514 of COVID-19; ")


def test_forensics_reads_own_predictions_in_every_way(tmp_path: Path) -> None:
    study = STUDIES["forensics"]
    skills = {"resnet18_cbam": 1.0, "mga_resnet18": 2.0}
    rows = study.examine(pretended(study.plan, folder=tmp_path, skills=skills)).rows
    values = {(r.name, r.metric): r.value for r in rows if r.table.endswith("CBAM + MGA")}
    as_is = values["COVID-19 against the rest, every slice", "Recall"]
    assert values["precision and recall exchanged", "Precision"] == as_is
    ratios = {(r.name, r.metric): r.value for r in rows if r.table.startswith("Two-decimal")}
    assert ratios["HMSANet", "FP / TP"] == 0.19
    assert ratios["HMSANet", "FN / TP"] == 0.15


def test_patients_are_compared_by_mcnemars_test(tmp_path: Path) -> None:
    study = STUDIES["patients"]
    rows = study.examine(pretended(study.plan, folder=tmp_path, skills=TABLE4)).rows
    tests = [row for row in rows if row.table.startswith("McNemar")]
    assert {row.name.rpartition(", ")[2] for row in tests} == {"seed 0", "seed 1"}
    assert all(0 <= row.value <= 1 for row in tests if row.metric == "p")


def test_calibration_scales_by_validation_slices(tmp_path: Path) -> None:
    study, splits = STUDIES["calibration"], ("test", "validation")
    finished = pretended(study.plan, folder=tmp_path, skills=TABLE4, splits=splits)
    rows = study.examine(finished).rows
    loss = {row.name: row.value for row in rows if row.metric == "Log loss"}
    assert loss["ResNet18, after"] < loss["ResNet18, before"], "drawn logits ask for a temperature"
    assert len([row for row in rows if row.metric == "Temperature"]) == len(TABLE4)


def test_sources_are_labelled_and_joined_only_where_all_are_there(tmp_path: Path) -> None:
    study = STUDIES["leave_one_source_out"]
    skills = {"cbam_jun": 1.0, "mga_jun": 2.0}
    results = study.examine(pretended(study.plan, folder=tmp_path, skills=skills))
    names = {row.name for row in results.rows}
    assert "MGA, tested on jun minus CBAM, tested on jun" in names
    assert not any("all sources" in name for name in names)
    assert results.notes == ["All sources: needs a seed without failed runs."]


def test_all_sources_together_count_every_slice_once(tmp_path: Path) -> None:
    study = STUDIES["leave_one_source_out"]
    skills = {f"{model}_{source}": skill for source in SOURCES for model, skill in GUIDED.items()}
    finished = pretended(study.plan, folder=tmp_path, skills=skills)
    for place, source in enumerate(SOURCES):
        for seed, model in itertools.product((0, 1), GUIDED):
            path = finished.arms[f"{model}_{source}"][seed].folder / "evaluation"
            predictions = predicted(skill=GUIDED[model], seed=place + 10 * seed, test_set=place)
            predictions.write_csv(path / "test_predictions.csv")
    rows = {(r.table, r.name, r.metric): r for r in study.examine(finished).rows}
    table = "COVID-19 against the rest"
    alone = [rows[table, f"MGA, tested on {source}", "Accuracy"] for source in SOURCES]
    joined = rows[table, "MGA, all sources", "Accuracy"]
    assert joined.value == pytest.approx(np.mean([row.value for row in alone])), "of equal size"
    assert joined.high - joined.low < min(row.high - row.low for row in alone)
    gain = rows[f"{table}: differences", "MGA minus CBAM, all sources", "Accuracy"]
    assert gain.low > 0


def test_ablations_are_labelled(tmp_path: Path) -> None:
    study = STUDIES["ablations"]
    skills = {"proposed": 1.0, "loss_l1": 2.0}
    results = study.examine(pretended(study.plan, folder=tmp_path / "b", skills=skills))
    assert "loss l1 minus proposed" in {row.name for row in results.rows}


@pytest.mark.parametrize(
    ("name", "runs", "message"),
    [
        ("significance", ["a"], "two or more runs"),
        ("significance", ["a", "b/a"], "unlike names"),
        ("table4", ["a", "b"], "makes its own runs"),
    ],
)
def test_runs_that_cannot_be_compared_are_reported(
    name: str, runs: list[str], message: str, tmp_path: Path
) -> None:
    order = Order(name=name, workdir=tmp_path, compare=[tmp_path / run for run in runs])
    with pytest.raises(ConfigError, match=message):
        run_experiment(order, draw=no_data)


def test_any_runs_are_compared_two_by_two(tmp_path: Path, trained: Path) -> None:
    finished = pretended(
        STUDIES["table4"].plan, folder=tmp_path, skills={"resnet18": 0.0, "mga_resnet18": 3.0}
    )
    folders = [runs[0].folder for runs in finished.arms.values()]
    for folder in folders:
        shutil.copy(trained / "config.json", folder)
    order = Order(name="significance", workdir=tmp_path / "out", compare=folders)
    results = run_experiment(order, draw=no_data)
    assert results is not None
    rows = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    p = next(row for row in rows if row["metric"] == "p")
    assert p["name"] == "resnet18-0 / mga_resnet18-0"
    assert p["value"] < 0.05


def test_without_given_runs_table_4s_are_compared(tmp_path: Path) -> None:
    study = STUDIES["significance"]
    skills = TABLE4 | {"resnet18": 0.0}
    results = study.examine(pretended(study.plan, folder=tmp_path, skills=skills, seeds=(0,)))
    p = {row.name: row.value for row in results.rows if row.metric == "p"}
    assert set(p) == {
        "ResNet18 / ResNet18 + CBAM",
        "ResNet18 / ResNet18 + CBAM + MGA",
        "ResNet18 + CBAM / ResNet18 + CBAM + MGA",
    }
    assert p["ResNet18 / ResNet18 + CBAM + MGA"] < 0.05


def test_a_drawn_set_is_counted_without_training(phantom: Path, tmp_path: Path) -> None:
    order = Order(name="dataset", workdir=tmp_path, budget="smoke")
    requested: dict[str, object] = {}

    def draw(folder: Path, **options: object) -> Path:
        requested.update(options)
        return phantom

    results = run_experiment(order, draw=draw)
    assert results is not None
    assert requested == dict(order.settings.phantom)
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["command"] == f"mgajax experiment dataset --workdir {tmp_path} --budget smoke"
    assert (content["runs"], content["plan"]) == ([], "")
    assert {"figure3.png", "figure4.png"} <= set(content["figures"])
    by_source = [r for r in content["rows"] if "Table 1" in r["table"] and r["name"] != "all"]
    by_split = [r for r in content["rows"] if "Table 2" in r["table"]]
    assert sum(r["value"] for r in by_source) == sum(r["value"] for r in by_split) == 72


def test_every_part_of_a_study_names_one() -> None:
    assert set(PARTS.values()) <= set(NAMES)
    assert not set(PARTS) & set(NAMES)


def test_an_unknown_study_is_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'table4'"):
        _ = Order(name="tabel4", workdir=Path("x")).study


PAPER_MASKS = {
    **TABLE4,
    "mga_predicted": 0.2,
    "single_20": 0.0,
    "predicted_20": 3.0,
}


def segmented(folder: Path, *, names: list[str]) -> Path:
    """A segmenter's evaluation: of ten lesion pixels of a slice it finds nine, and one too many."""
    truth = np.arange(20)[None] < 10
    counts = collect_counts(count_slice(np.roll(truth, 1), truth) for _ in names)
    columns = counts.columns()
    lines = [["file_name", "patient", "source", *columns]]
    for place, name in enumerate(names):
        values = [str(column[place]) for column in columns.values()]
        lines.append([name, f"zhao/{place // SLICES}", "zhao", *values])
    (folder / "evaluation").mkdir(parents=True)
    write_csv(lines, folder / "evaluation" / "test_slices.csv")
    report = metrics_from_counts(counts, bootstrap=0)
    (folder / "evaluation" / "test.json").write_text(json.dumps(report))
    return folder


def test_the_papers_masks_are_compared_with_exact_ones(tmp_path: Path) -> None:
    study = STUDIES["paper_masks"]
    finished = pretended(study.plan, folder=tmp_path, skills=PAPER_MASKS, seeds=tuple(range(5)))
    names = predicted(skill=1, seed=0).file_names.tolist()
    finished.data.segmenters.append(segmented(tmp_path / "step1", names=names))
    results = study.examine(finished)
    rows = {(row.table, row.name, row.metric): row for row in results.rows}
    claims_made = "Claims on performance"
    below = rows[claims_made, "MGA is better than CBAM (Table 4): the paper's masks", "ROC AUC"]
    assert below.verdict.startswith("fails")
    above = rows[claims_made, "MGA is better than CBAM (Table 4): exact masks", "ROC AUC"]
    assert above.verdict == "holds"
    exact = "Exact masks are better than the paper's"
    assert rows[claims_made, exact, "ROC AUC"].verdict == "holds"
    assert ("Claims on attention", exact, "ROC AUC of pixels") in rows, "judged by both"
    step1 = "Step 1 on the test slices"
    assert rows[step1, "CAP", "Dice"].value == pytest.approx(0.9)
    assert rows[step1, "Normal", "Slices with a predicted lesion"].value == 1.0
    assert "Not run: Guidance gains at 20 % of the data (Fig. 8): exact masks" in results.notes
    assert (
        "Not run: It gains more at 20 to 40 % than at 80 % (Fig. 8): the paper's masks"
        in results.notes
    )
    arms = {row.name for row in results.rows if row.table == "Three classes"}
    assert {"ResNet18 + CBAM", "Multi-task, the paper's masks, 20 %", "Single-task, 20 %"} <= arms


def test_a_segmenter_that_saw_test_slices_is_refused(tmp_path: Path) -> None:
    study = STUDIES["paper_masks"]
    finished = pretended(study.plan, folder=tmp_path, skills=PAPER_MASKS)
    names = predicted(skill=1, seed=0).file_names.tolist()
    finished.data.segmenters.append(segmented(tmp_path / "step1", names=names[1:]))
    with pytest.raises(LeakageError, match=names[0]):
        study.examine(finished)


def test_every_arm_of_the_papers_masks_is_measured_by_exact_lesions() -> None:
    """Annotated in the paper's share of one class; and the plan's arms differ in masks alone."""
    plan = configs.load(STUDIES["paper_masks"].plan)
    assert (
        round(paper.MASKS / paper.TABLE1["all"][0][1], 2) == plan.mga_predicted.data.drawn.annotated
    )
    for guided, other in PREDICTED.items():
        config = plan[other].copy_and_resolve_references().unlock()
        assert config.data.drawn.exact_test
        del config.data.drawn
        assert config.to_json() == plan[guided].to_json()
