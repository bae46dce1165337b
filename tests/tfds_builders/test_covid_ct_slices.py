"""The builder of the curated set: records, splits, idempotence, and every way to be interrupted."""

import dataclasses
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from built_records import assert_same_content, records
from kaggle_fixture import (
    COLOURED,
    FOLDERS,
    RENAMED_FILE,
    SECOND_COPY,
    SLICES,
    TABLES,
    draw,
    write_copy,
)
from PIL import Image
from tensorflow_datasets.core.dataset_info import DatasetInfoFileError
from unchecked import unchecked

from mgajax.curation.kaggle_layout import read_table as read_csv
from mgajax.data.splits import assert_patient_disjoint, make_split
from mgajax.data.table import read_table
from mgajax.errors import ConfigError, DataError
from mgajax.imaging.pictures import encode_png
from mgajax.schema import CLASS_NAMES, MASK_ORIGINS, SOURCES
from tfds_builders import BuildResult, build, catalogued
from tfds_builders.covid_ct_slices import CovidCtSlices

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_copy(tmp_path_factory.mktemp("download"))


@pytest.fixture(scope="module")
def built(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    return build_copy(copy, tmp_path_factory.mktemp("data"))


def build_copy(copy: Path, data_dir: Path, **options) -> BuildResult:
    return build("covid_ct_slices", manual_dir=copy, data_dir=data_dir, **options)


def test_every_slice_is_there_once_in_a_split_of_whole_patients(built: BuildResult) -> None:
    stored = records(built.directory)
    assert set(stored) == {slice_.on_disk for slice_ in SLICES}
    assert sum(built.splits.values()) == len(SLICES)
    places = {(record["patient"], record["split"]) for record in stored.values()}
    assert len(places) == len({patient for patient, _ in places})
    table = read_table(built.directory)
    assert_patient_disjoint(make_split(table, kind="built", seed=0), table.patients)
    assert built.splits == dict(Counter(record["split"] for record in stored.values()))


def test_ids_that_an_audit_takes_for_one_person_stay_in_one_split(
    copy: Path, tmp_path: Path
) -> None:
    pairs = [("morozov/study_id_1", "morozov/study_id_2"), ("morozov/study_id_3", "afshar/N001")]
    pairs += [("jun/elsewhere", "jun/nobody")]
    audit = tmp_path / "audit.json"
    audit.write_text(json.dumps({"double_identities": [{"patients": pair} for pair in pairs]}))
    alone = build_copy(copy, tmp_path / "data")
    built = build_copy(copy, tmp_path / "data", merge=str(audit))
    patients = set(read_table(built.directory).patients.tolist())
    assert not patients & {"morozov/study_id_2", "morozov/study_id_3"}
    assert built.record["patients"] == len(patients) == alone.record["patients"] - 2
    assert "ids counted as another person's: 3 (e.g. " in built.summary
    assert built.directory != alone.directory, "another set, beside the first"
    assert build_copy(copy, tmp_path / "data", merge=str(audit)).status == "reused"
    (tmp_path / "split.csv").write_text("file_name,split")
    with pytest.raises(DataError, match="split.csv: not JSON"):
        build_copy(copy, tmp_path / "data", merge=str(tmp_path / "split.csv"))


def test_records_match_the_tables_and_files(built: BuildResult) -> None:
    stored = records(built.directory)
    renamed = stored[RENAMED_FILE]
    assert CLASS_NAMES[renamed["label"]] == "COVID-19"
    assert SOURCES[renamed["source"]] == "zhao"
    assert renamed["patient"] == b"zhao/Zhao_Patient 7"
    assert (renamed["age"], renamed["gender"], renamed["country"]) == (36, b"F", b"China")
    assert stored["13_Bjorke_1.png"]["flags"] == b"upside_down"
    assert stored["13_Bjorke_1.png"]["age"] == -1
    assert stored[SECOND_COPY]["flags"] == b"second_copy"
    assert stored["cap001_11.png"]["flags"] == b""


def test_grey_pictures_come_back_pixel_for_pixel(built: BuildResult) -> None:
    stored = records(built.directory)
    for slice_ in SLICES:
        image = stored[slice_.on_disk]["image"]
        width, height = slice_.size
        assert image.shape == (height, width, 1)
        assert image.dtype == np.uint8
        if slice_.kind == "PNG" and slice_.mode != "I;16" and slice_.on_disk != COLOURED:
            np.testing.assert_array_equal(image[..., 0], draw(slice_), err_msg=slice_.name)


def test_masks_are_binary_of_the_pictures_size_and_say_where_they_come_from(
    built: BuildResult,
) -> None:
    annotated = {}
    for name, record in records(built.directory).items():
        mask = record["lesion_mask"]
        assert mask.shape == record["image"].shape
        assert set(np.unique(mask)) <= {0, 255}
        if MASK_ORIGINS[record["mask_origin"]] == "annotated":
            annotated[name] = int((mask > 0).sum())
        else:
            assert not mask.any()
    assert annotated == {
        "14_Jun_coronacases_case1_155.png": 16,
        "13_Bjorke_1.png": 32,
        "13_Bjorke_2.png": 0,
        "16_Morozov_study_0255_13.png": 16,
    }


def test_the_summary_is_printed_and_kept(built: BuildResult) -> None:
    summary = json.loads((built.directory / "metadata.json").read_text())["summary"]
    assert summary == built.record
    assert summary["findings"]["renamed_file"] == {
        "count": 1,
        "damage": False,
        "meaning": "rows matched to a file of another spelling",
        "examples": [RENAMED_FILE],
    }
    assert summary["slices_by_split"]["train"]["COVID-19"] > 0
    people = sum(sum(counts.values()) for counts in summary["patients_by_split"].values())
    assert people == summary["patients"]
    assert f"spelling: 1 (e.g. {RENAMED_FILE})" in built.summary
    assert "0.00% of the names damaged" in built.summary


def test_tfds_reads_it_by_name_and_by_directory(built: BuildResult) -> None:
    root = built.directory.parents[2]
    by_name = tfds.data_source("covid_ct_slices", data_dir=str(root), split="test")
    assert len(by_name) == built.splits["test"]
    builder = tfds.builder_from_directory(str(built.directory))
    assert "maftouni2021robust" in builder.info.citation
    assert "curated" in builder.info.description


def test_tfds_alone_builds_the_same(copy: Path, built: BuildResult, tmp_path: Path) -> None:
    builder = CovidCtSlices(data_dir=str(tmp_path))
    builder.download_and_prepare(
        download_dir=str(tmp_path / "downloads"),
        download_config=tfds.download.DownloadConfig(manual_dir=str(copy)),
    )
    assert_same_content(Path(builder.data_dir), built.directory)
    assert build_copy(copy, tmp_path).status == "reused"


@pytest.mark.parametrize(
    ("headers", "nesting", "tables"),
    [("kaggle", "single", "beside"), ("github", "doubled", "inside")],
)
def test_every_layout_gives_the_same_data_set(
    built: BuildResult, tmp_path: Path, headers, nesting, tables
) -> None:
    copy = write_copy(tmp_path / "copy", headers=headers, nesting=nesting, tables=tables)
    assert_same_content(build_copy(copy, tmp_path / "data").directory, built.directory)


def test_a_second_build_reuses_the_first(copy: Path, built: BuildResult) -> None:
    before = {path: path.stat().st_mtime_ns for path in built.directory.iterdir()}
    again = build_copy(copy, built.directory.parents[2])
    assert again == dataclasses.replace(built, status="reused")
    assert {path: path.stat().st_mtime_ns for path in built.directory.iterdir()} == before


def test_a_build_from_other_files_is_not_reused(tmp_path: Path) -> None:
    copy = write_copy(tmp_path / "copy")
    directory = build_copy(copy, tmp_path / "data").directory
    next(copy.glob("curated_data/*/3CAP/cap001_12.png")).unlink()
    with pytest.raises(DataError, match="built from other files"):
        build_copy(copy, tmp_path / "data")
    next(directory.glob("*train*")).unlink()
    with pytest.raises(DataError, match=r"train.*is missing; delete this folder"):
        build_copy(copy, tmp_path / "data")


def test_configs_and_options(copy: Path, tmp_path: Path) -> None:
    without = build_copy(copy, tmp_path, builder_config="without_masks")
    assert without.name == "covid_ct_slices/without_masks"
    assert without.record["masked"] == 0
    assert not any(record["lesion_mask"].any() for record in records(without.directory).values())
    other = build_copy(copy, tmp_path, split_seed=3)
    assert other.directory.parent.name == "default-split_seed_3"
    assert other.record["split_seed"] == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset_name": "covid_ct_slice"}, "did you mean 'covid_ct_slices'"),
        ({"builder_config": "defualt"}, "did you mean 'default'"),
        ({"split_sed": 1}, "did you mean 'split_seed'"),
        ({"masks": "ingore"}, "did you mean 'ignore'"),
        ({"max_damage_share": 5}, "from 0 to 1"),
        ({"manual_dir": None}, "manual_dir is missing"),
        ({"dataset_name": "ct_phantom"}, "reads no files"),
    ],
)
def test_wrong_arguments_are_named(copy: Path, tmp_path: Path, change, message: str) -> None:
    arguments = {"dataset_name": "covid_ct_slices", "manual_dir": copy, "data_dir": tmp_path}
    with pytest.raises(ConfigError, match=message):
        build(**{**arguments, **change})
    assert not list(tmp_path.rglob("*.json"))


def damage(copy: Path) -> None:
    for name in ("P001_69.png", "P001_70.png"):
        path = next(copy.glob(f"curated_data/*/2COVID/{name}"))
        path.write_bytes(path.read_bytes()[:90])


def test_damage_above_the_share_fails_the_build_and_below_it_is_reported(tmp_path: Path) -> None:
    copy = write_copy(tmp_path / "copy")
    damage(copy)
    with pytest.raises(DataError, match="cannot be decoded; left out: 2"):
        build_copy(copy, tmp_path / "data")
    assert not list((tmp_path / "data").rglob("dataset_info.json"))
    partial = build_copy(copy, tmp_path / "data", builder_config="partial")
    assert sum(partial.splits.values()) == len(SLICES) - 2
    assert partial.record["findings"]["undecodable_image"]["count"] == 2
    assert "! pictures that cannot be decoded; left out: 2" in partial.summary


def test_too_few_people_for_three_splits(tmp_path: Path) -> None:
    few = [s for s in SLICES if s.name in ("N001_121.png", "P001_69.png", "cap001_11.png")]
    copy = write_copy(tmp_path / "copy", slices=few)
    with pytest.raises(DataError, match="validation, test would have no slice, from 3 patients"):
        build_copy(copy, tmp_path / "data")


def test_a_picture_that_changes_during_the_build_fails_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = write_copy(tmp_path / "copy")
    members = catalogued.members

    def split_then_damage(*arguments, **options):
        parts = members(*arguments, **options)
        damage(copy)
        return parts

    monkeypatch.setattr(catalogued, "members", split_then_damage)
    with pytest.raises(DataError, match=r"P001_\d+\.png: changed while") as caught:
        build_copy(copy, tmp_path / "data")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "data" / "covid_ct_slices" / "default").iterdir())


KILLED_BUILD = """
import sys, time
import tensorflow_datasets as tfds
from tfds_builders import build, catalogued

def hang():
    print("hanging", file=sys.__stdout__, flush=True)
    time.sleep(600)

moment, copy, data_dir = sys.argv[1:]
if moment == "in the second split":
    example = catalogued.example
    done = []
    def slow(record):
        done.append(record)
        return example(record) if len(done) < 28 else hang()
    catalogued.example = slow
else:
    write = tfds.core.DatasetInfo.write_to_directory
    def slow(self, *args, **options):
        write(self, *args, **options)
        hang()
    tfds.core.DatasetInfo.write_to_directory = slow
build("covid_ct_slices", manual_dir=copy, data_dir=data_dir)
"""


@pytest.mark.parametrize("moment", ["in the second split", "before the rename"])
def test_a_killed_build_leaves_nothing_that_reads_as_complete(
    copy: Path, built: BuildResult, tmp_path: Path, moment: str
) -> None:
    command = [sys.executable, "-c", KILLED_BUILD, moment, str(copy), str(tmp_path)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "hanging\n"
        os.kill(process.pid, signal.SIGKILL)
    directory = tmp_path / "covid_ct_slices" / "default" / "1.1.0"
    (leftover,) = directory.parent.iterdir()
    assert leftover.name.startswith("incomplete.")
    with pytest.raises(KeyError, match="has not been generated yet"):
        tfds.data_source("covid_ct_slices", data_dir=str(tmp_path), split="train", download=False)
    with pytest.raises(DatasetInfoFileError):
        tfds.builder_from_directory(str(directory))
    with pytest.raises(DataError):
        read_table(tmp_path)
    again = build_copy(copy, tmp_path)
    assert again.status == "built"
    assert [path.name for path in directory.parent.iterdir()] == ["1.1.0"]
    assert_same_content(again.directory, built.directory)


def test_two_builds_at_once_make_one_data_set(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results: list[BuildResult] = []
    threads = [
        threading.Thread(target=lambda: results.append(build_copy(copy, tmp_path)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(result.status for result in results) == ["built", "reused"]
    waiting = f"covid_ct_slices in {tmp_path}: another process is at work on it; waiting"
    assert waiting in capsys.readouterr().err


FULL_DISK = """
import resource, signal, sys
from mgajax.errors import DataError
from tfds_builders import build, building
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
write = building._write
def on_full_disk(*args):
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
    write(*args)
building._write = on_full_disk
try:
    build("covid_ct_slices", manual_dir=sys.argv[1], data_dir=sys.argv[2])
except DataError as error:
    print(error)
"""


def test_a_full_disk_is_a_clear_error(copy: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL_DISK, str(copy), str(tmp_path)]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "could not be written" in process.stdout
    assert "make room" in process.stdout
    assert process.stdout.count("\n") == 1
    assert not list((tmp_path / "covid_ct_slices" / "default").iterdir())


def test_an_unwritable_data_dir_is_named(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        build_copy(copy, tmp_path / "file")


def test_the_pack_of_real_slices(shared: Path, tmp_path: Path) -> None:
    pack = shared / "realdata" / "pack_dev"
    result = build_copy(pack, tmp_path)
    stored = records(result.directory)
    assert len(stored) == 140
    assert Counter(CLASS_NAMES[r["label"]] for r in stored.values()) == {
        "Normal": 39,
        "COVID-19": 81,
        "CAP": 20,
    }
    assert sum(r["mask_origin"] == 1 for r in stored.values()) == 18
    for path in sorted(pack.glob("curated_data/*/*"))[::9]:
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            np.testing.assert_array_equal(
                stored[path.name]["image"][..., 0], np.asarray(image.convert("L"))
            )


def draw_full_set(folder: Path, metadata: Path) -> None:
    """All 17,104 names of the real tables, with tiny drawn pictures."""
    for label, table in enumerate(TABLES):
        shutil.copy(metadata / table, folder)
        pictures = folder / "curated_data" / FOLDERS[label]
        pictures.mkdir(parents=True)
        for number, row in enumerate(read_csv(metadata / table, label=label)):
            noise = np.random.default_rng([label, number]).integers(0, 256, (4, 4), dtype=np.uint8)
            name = row.file_name.replace("Recurrence-of-COVID-19", "Recurrence-of-positive")
            (pictures / name).write_bytes(encode_png(noise))


@pytest.mark.slow(finds="names of the published set that end up in another split than the paper's")
def test_the_full_set_gets_table_2(shared: Path, tmp_path: Path) -> None:
    draw_full_set(tmp_path, shared / "realdata" / "metadata")
    with unchecked():
        result = build_copy(tmp_path, tmp_path / "data")
        again = build_copy(tmp_path, tmp_path / "data")
    assert again.status == "reused"
    assert result.record["slices_by_split"] == {
        "train": {"Normal": 4643, "COVID-19": 5563, "CAP": 1773},
        "validation": {"Normal": 1736, "COVID-19": 1508, "CAP": 643},
        "test": {"Normal": 514, "COVID-19": 522, "CAP": 202},
    }
    assert result.record["patients"] == 1113
    assert result.record["damage_share"] == 0
    assert {slug: f["count"] for slug, f in result.record["findings"].items()} == {
        "renamed_file": 2,
        "upside_down": 593,
    }
