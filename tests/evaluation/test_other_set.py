"""A run evaluated on another set: folders, a table, a built set; and on its own set, moved."""

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from drawn_runs import Bright, Brightness, checkpointed, without_figures
from drawn_slices import build as build_slices
from drawn_slices import draw
from pretended import segmenter_config

from mgajax.data.labelled_set import PreparedFiles, prepared_files
from mgajax.data.preparation import Preparation
from mgajax.errors import ConfigError, DataError, LeakageError
from mgajax.evaluation import other_set
from mgajax.evaluation.evaluate import evaluate_run
from mgajax.evaluation.evaluation_report import Evaluation
from mgajax.evaluation.other_set import JudgingData, SetOptions, SharedPeople, evaluate_data
from mgajax.evaluation.predictions import read_csv
from mgajax.imaging.pictures import encode_png
from mgajax.training import run_setup

FOLDERS = ("healthy", "covid")
BLOCKS = ("three_class", "covid_vs_rest", "calibration", "intervals", "called", "cross_entropy")


@pytest.fixture(scope="module")
def trained_once(small_config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a run whose network is `Brightness`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_setup, "make_model", lambda config, axis_name: Brightness())
        folder = tmp_path_factory.mktemp("runs") / "brightness"
        yield checkpointed(folder, small_config(), {"level": np.float32(-0.35)})


@pytest.fixture
def workdir(trained_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained_once, tmp_path / "run"))


@pytest.fixture
def hospital(tmp_path: Path) -> Path:
    """Eleven slices in two folders."""
    top = tmp_path / "hospital"
    for number in range(11):
        path = top / FOLDERS[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = draw(64, seed=number)["image"] // (1 + number % 3)
        path.write_bytes(encode_png(pixels))
    return top


def table(path: Path, top: Path, *, head: str = "file,label", further: str = "") -> Path:
    """The files of `hospital` as a table, the last one first."""
    files = sorted(top.rglob("*.png"), reverse=True)
    rows = [f"{file},{file.parent.name}{further.format(file.stem)}" for file in files]
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def evaluate_set(
    workdir: Path, data: Path, *overrides: str, out: Path | None = None, **options
) -> Evaluation:
    with without_figures():
        return evaluate_data(
            workdir, data, options=SetOptions(**options), out=out, overrides=overrides
        )


def test_a_folder_of_classes_is_evaluated_slice_by_slice(workdir: Path, hospital: Path) -> None:
    (workdir / "evaluation").mkdir()
    (workdir / "evaluation" / "test.json").write_text("as it was")
    evaluation = evaluate_set(workdir, hospital)
    written = json.loads((workdir / "evaluation" / "hospital.json").read_text())
    assert written == json.loads(json.dumps(evaluation.metrics))
    assert (written["set"], written["set_kind"], written["n"]) == (
        "hospital",
        "folder of classes",
        11,
    )
    assert written["patients"] is None
    assert written["per_patient"] is None
    assert written["per_source"] == {}
    assert written["intervals"]["settings"]["unit"] == "slice"
    assert written["class_counts"]["COVID-19"] == {"slices": 5, "patients": None}
    assert sum(row["slices"] for row in written["called"].values()) == 11
    assert (workdir / "evaluation" / "test.json").read_text() == "as it was"
    predictions = read_csv(workdir / "evaluation" / "hospital_predictions.csv")
    assert predictions.file_names.tolist() == sorted(
        (f"{FOLDERS[n % 2]}/{n}.png" for n in range(11)),
        key=lambda name: (name[0], int(name.split("/")[1][:-4])),
    )
    assert (
        "set hospital: 11 slices of unknown patients [95% intervals over slices]"
        in evaluation.table
    )
    assert "note: No patient is known" in evaluation.table
    assert "The set has no CAP" in evaluation.table
    assert {path.name for path in evaluation.files} == {
        "hospital.json",
        "hospital_predictions.csv",
        "hospital_roc.png",
        "hospital_confusion.png",
        "hospital_calibration.png",
        "hospital_attention.png",
    }


def test_a_table_of_the_same_files_gives_the_same_bits(
    workdir: Path, hospital: Path, tmp_path: Path
) -> None:
    first = evaluate_set(workdir, hospital).metrics
    before = (workdir / "evaluation" / "hospital_predictions.csv").read_bytes()
    second = evaluate_set(workdir, table(tmp_path / "hospital.csv", hospital)).metrics
    assert {key: second[key] for key in BLOCKS} == {key: first[key] for key in BLOCKS}
    assert second["data_fingerprint"] == first["data_fingerprint"]
    assert (workdir / "evaluation" / "hospital_predictions.csv").read_bytes() == before


@pytest.mark.parametrize("layout", [(1, 1, "jit"), (4, 3, "shard_map"), (8, 32, "pmap")], ids=str)
def test_each_slice_counts_once_on_any_devices(
    workdir: Path, hospital: Path, tmp_path: Path, layout: tuple
) -> None:
    words = ("devices", "eval_batch_size", "parallel")
    overrides = [f"--config.{key}={value}" for key, value in zip(words, layout, strict=True)]
    usual = evaluate_set(workdir, hospital).metrics
    other = evaluate_set(workdir, hospital, *overrides, out=tmp_path / "other.json").metrics
    assert other["three_class"]["confusion_matrix"] == usual["three_class"]["confusion_matrix"]
    assert other["n"] == 11
    assert other["cross_entropy"] == pytest.approx(usual["cross_entropy"], abs=1e-6)


def test_patients_and_sources_of_a_table_count(
    workdir: Path, hospital: Path, tmp_path: Path
) -> None:
    path = table(
        tmp_path / "people.csv", hospital, head="file,label,patient,source", further=",P{0},north"
    )
    metrics = evaluate_set(workdir, path, name="north").metrics
    assert (metrics["set"], metrics["patients"]) == ("north", 11)
    assert metrics["intervals"]["settings"]["unit"] == "patient"
    assert list(metrics["per_source"]) == ["north"]
    assert metrics["people"]["in_training"] == 0
    assert any("none of the set's 11 people" in line for line in metrics["remarks"])


def test_people_who_trained_the_run_are_refused_left_out_or_marked(
    workdir: Path, hospital: Path, tmp_path: Path
) -> None:
    with (workdir / "split.csv").open() as file:
        rows = list(csv.DictReader(file))
    source, known = next(row["patient"] for row in rows if row["split"] == "train").split("/")
    path = table(
        tmp_path / "people.csv",
        hospital,
        head="file,label,patient,source",
        further=f",P{{0}},{source}",
    )
    path.write_text(
        path.read_text().replace(",P10,", f",{known.upper()},").replace(",P9,", f",{known},")
    )
    with pytest.raises(LeakageError, match=r"of its 10 people trained this run.*--shared_people"):
        evaluate_set(workdir, path)
    metrics_with_leak = evaluate_set(workdir, path, shared_people=SharedPeople.KEEP).metrics
    assert (
        metrics_with_leak["n"],
        metrics_with_leak["leaks"],
        metrics_with_leak["left_out_slices"],
    ) == (11, True, 0)
    assert any(line.startswith("LEAK: ") for line in metrics_with_leak["remarks"])
    rest = evaluate_set(workdir, path, shared_people=SharedPeople.LEAVE_OUT).metrics
    assert (rest["n"], rest["leaks"], rest["left_out_slices"]) == (9, False, 2)
    assert any("Left out: 2 slices" in line for line in rest["remarks"])


def test_damaged_files_are_named_and_take_no_others_with_them(
    workdir: Path, hospital: Path
) -> None:
    path = hospital / "covid" / "1.png"
    path.write_bytes(path.read_bytes()[:60])
    (hospital / "covid" / "3.png").write_bytes(b"")
    metrics = evaluate_set(workdir, hospital).metrics
    assert (metrics["n"], metrics["unreadable_slices"]) == (9, 2)
    assert [line.partition(":")[0] for line in metrics["unreadable_files"]] == [
        str(path),
        str(hospital / "covid" / "3.png"),
    ]
    assert any("Not read, and not counted: 2 files" in line for line in metrics["remarks"])
    for other in hospital.rglob("*.png"):
        other.write_bytes(b"\x89PNG no more")
    with pytest.raises(DataError, match="none of 11 files can be read"):
        evaluate_set(workdir, hospital)


def test_runs_of_equal_preparation_share_the_read_set(
    workdir: Path, hospital: Path, small_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    larger = checkpointed(
        tmp_path / "larger",
        small_config("--config.preparation.image_size=40"),
        {"level": np.float32(-0.35)},
    )
    again = Path(shutil.copytree(workdir, tmp_path / "again"))
    read: list[int] = []

    def counted(*args, settings: Preparation, **options) -> PreparedFiles:
        read.append(settings.image_size)
        return prepared_files(*args, settings=settings, **options)

    monkeypatch.setattr(other_set, "prepared_files", counted)
    data = JudgingData(hospital)
    with without_figures():
        first, other, second = (data.evaluate(run) for run in (workdir, larger, again))
    assert len(read) == len(set(read)) == 2
    assert second.metrics == first.metrics
    assert other.metrics["data_fingerprint"] == first.metrics["data_fingerprint"]
    assert evaluate_set(workdir, hospital).metrics == first.metrics, "prepared for it alone"


def test_one_class_alone_leaves_areas_undefined(workdir: Path, hospital: Path) -> None:
    metrics = evaluate_set(workdir, hospital, classes="healthy=none").metrics
    assert metrics["covid_vs_rest"]["roc_auc"] is None
    assert metrics["covid_vs_rest"]["specificity"] is None
    assert metrics["covid_vs_rest"]["recall"] is not None
    assert any("All its slices are COVID-19" in line for line in metrics["remarks"])
    assert "folder healthy is left out" in metrics["remarks"]


def test_a_run_that_tells_nothing_apart_says_so(workdir: Path, hospital: Path) -> None:
    for path in hospital.rglob("*.png"):
        path.write_bytes(encode_png(np.full((64, 64), 255, np.uint8)))
    metrics = evaluate_set(workdir, hospital).metrics
    assert metrics["called"]["COVID-19"] == {"slices": 11, "share": 1.0}
    assert any("Every slice is called COVID-19" in line for line in metrics["remarks"])


def test_another_built_set_is_evaluated_as_a_whole(workdir: Path, tmp_path: Path) -> None:
    place = build_slices(tmp_path / "data")
    evaluation = evaluate_set(workdir, tmp_path / "data")
    metrics = evaluation.metrics
    assert (metrics["set"], metrics["set_kind"], metrics["n"]) == (
        "drawn_slices",
        "built data set",
        18,
    )
    assert metrics["set_place"] == str(place)
    assert metrics["patients"] == 9
    assert metrics["attention_overlap"]["slices"] == 12, "of annotated slices, and of Normal ones"
    with pytest.raises(ConfigError, match="--classes .*built data set"):
        evaluate_set(workdir, place, classes="a=CAP")
    with pytest.raises(ConfigError, match="--split test: .* is another set"):
        evaluate_set(workdir, place, split="test")


def test_the_runs_own_set_at_another_place_gives_the_same_results(
    workdir: Path, phantom: Path, tmp_path: Path
) -> None:
    with without_figures():
        expected = evaluate_run(workdir).metrics
    moved = Path(shutil.copytree(phantom, tmp_path / "moved" / "ct_phantom" / "tiny" / "1.0.0"))
    evaluation = evaluate_set(workdir, moved)
    assert evaluation.metrics == expected
    assert {path.name for path in evaluation.files} >= {"test.json", "test_predictions.csv"}
    assert evaluate_set(workdir, moved, split="validation").metrics["split"] == "validation"
    with pytest.raises(ConfigError, match="--name x: .* is the run's own set"):
        evaluate_set(workdir, moved, name="x")


def test_results_of_other_data_are_not_written_over(workdir: Path, hospital: Path) -> None:
    evaluate_set(workdir, hospital)
    (hospital / "covid" / "1.png").unlink()
    with pytest.raises(ConfigError, match=r"hospital\.json: results of other data of this name"):
        evaluate_set(workdir, hospital)
    evaluate_set(workdir, hospital, name="hospital_2")


def test_names_of_results(workdir: Path, hospital: Path) -> None:
    for name in ("test", "a/b", "newest", "v1.0"):
        with pytest.raises(ConfigError, match="expected letters, digits"):
            evaluate_set(workdir, hospital, name=name)
    moved = hospital.rename(hospital.with_name("test"))
    metrics = evaluate_set(workdir, moved).metrics
    assert metrics["set"] == f"{moved.parent.name}_test".replace(".", "_")


def test_data_that_are_none(workdir: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder or file"):
        evaluate_set(workdir, tmp_path / "gone")
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match="no table; expected a built"):
        evaluate_set(workdir, tmp_path / "a.xlsx")
    with pytest.raises(ConfigError, match="--classes a=CAP: there is no --data"):
        evaluate_data(workdir, options=SetOptions(classes="a=CAP"))


def test_a_segmenter_is_evaluated_on_another_built_set(
    phantom: Path, hospital: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_setup, "make_model", lambda config, axis_name: Bright())
    workdir = checkpointed(
        tmp_path / "run",
        segmenter_config(phantom, "--config.preparation.image_size=32"),
        {"level": np.float32(0.2)},
    )
    build_slices(tmp_path / "data")
    evaluation = evaluate_set(workdir, tmp_path / "data")
    metrics = evaluation.metrics
    assert (metrics["set"], metrics["task"]) == ("drawn_slices", "segmentation")
    assert (metrics["n"], metrics["slices_without_mask"]) == (6, 12), "annotated ones alone"
    assert metrics["remarks"]
    assert {path.name for path in evaluation.files} == {
        "drawn_slices.json",
        "drawn_slices_slices.csv",
        "drawn_slices_panel.png",
        "drawn_slices_dice.png",
    }
    with pytest.raises(ConfigError, match="a folder of classes has no lesion masks"):
        evaluate_set(workdir, hospital)
