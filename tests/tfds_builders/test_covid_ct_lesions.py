"""The builder of the lesion set: records, whole people, the split of slices, damage, real pairs."""

import io
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from built_records import records
from kaggle_fixture import FOLDERS, SLICES, DrawnSlice, draw, write_copy
from pairs_fixture import EFFUSION, LESION, PAIRS, SIDE, write_pairs
from PIL import Image
from unchecked import unchecked

from mgajax.data.splits import assert_patient_disjoint, make_split
from mgajax.data.table import read_table
from mgajax.errors import ConfigError, DataError
from mgajax.schema import CLASS_NAMES, MASK_ORIGINS, SPLITS
from tfds_builders import BuildResult, build
from tfds_builders.features import slice_features


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("download") / "copy")


@pytest.fixture(scope="module")
def built(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    return build_pairs(copy, tmp_path_factory.mktemp("data"))


def build_pairs(copy: Path, data_dir: Path, **options) -> BuildResult:
    return build("covid_ct_lesions", manual_dir=copy, data_dir=data_dir, **options)


def test_every_pair_is_stored_once_as_on_disk(built: BuildResult) -> None:
    stored = records(built.directory)
    assert set(stored) == {pair.name for pair in PAIRS}
    assert sum(built.splits.values()) == len(PAIRS)
    for pair in PAIRS:
        lesion = np.zeros((SIDE, SIDE), np.uint8)
        lesion[LESION] = 255
        lesion[EFFUSION] = 255 if pair.coding == "labels" else 0
        record = stored[pair.name]
        frame = draw(DrawnSlice(1, *pair.row))
        np.testing.assert_array_equal(record["image"][..., 0], frame, err_msg=pair.name)
        np.testing.assert_array_equal(record["lesion_mask"][..., 0], lesion, err_msg=pair.name)
        assert CLASS_NAMES[record["label"]] == "COVID-19"
        assert MASK_ORIGINS[record["mask_origin"]] == "annotated"
        assert (b"upside_down" in record["flags"]) == pair.name.startswith(("bjorke", "Jun_radio"))


def test_the_record_is_that_of_the_slices(built: BuildResult) -> None:
    features = tfds.builder_from_directory(str(built.directory)).info.features
    assert set(features) == set(slice_features())


def test_splits_hold_whole_people_and_the_leaking_kind_says_otherwise(built: BuildResult) -> None:
    table = read_table(built.directory)
    split = make_split(table, kind="built", seed=0)
    assert not split.leaks
    assert_patient_disjoint(split, table.patients)
    assert {name: split.indices(name).size for name in SPLITS} == built.splits
    assert built.record["patients"] == 4 + 3 + 2
    leaking = make_split(table, kind="leaking_slices", seed=0)
    assert leaking.leaks
    assert leaking.counts(table.labels) == split.counts(table.labels)
    assert "LEAKS" in leaking.notes[0]


def test_slices_of_healthy_people_join_the_pairs(
    copy: Path, tmp_path: Path, built: BuildResult
) -> None:
    curated = write_copy(tmp_path / "curated", nesting="single")
    result = build_pairs(copy, tmp_path / "data", healthy=str(curated), max_damage_share=1.0)
    stored, pairs = records(result.directory), records(built.directory)
    healthy = {name: record for name, record in stored.items() if name not in pairs}
    names = {slice_.on_disk for slice_ in SLICES if CLASS_NAMES[slice_.label] == "Normal"}
    assert set(healthy) == names
    assert {CLASS_NAMES[record["label"]] for record in healthy.values()} == {"Normal"}
    assert {MASK_ORIGINS[record["mask_origin"]] for record in healthy.values()} == {"none"}
    assert not any(record["lesion_mask"].any() for record in healthy.values())
    assert result.record["slices"] == len(pairs) + len(names)
    table = read_table(result.directory)
    assert_patient_disjoint(make_split(table, kind="built", seed=0), table.patients)
    again = build_pairs(copy, tmp_path / "data", healthy=str(curated), max_damage_share=1.0)
    assert again.status == "reused"
    (curated / "curated_data" / FOLDERS[0] / "N001_121.png").unlink()
    other = build_pairs(copy, tmp_path / "data", healthy=str(curated), max_damage_share=1.0)
    assert other.directory != result.directory
    with pytest.raises(DataError, match="expected the class folders"):
        build_pairs(copy, tmp_path / "data", healthy=str(copy))


def people(result: BuildResult, split: str) -> set[str]:
    table = read_table(result.directory)
    return set(table.patients[table.built_split == SPLITS.index(split)].tolist())


def test_a_test_patient_of_the_classifier_does_not_train_here(
    copy: Path, built: BuildResult, tmp_path: Path
) -> None:
    tested = people(built, "test")
    assert "--test_with DIR keeps them out" in built.summary
    for seed in range(1, 4):
        options = {"split_seed": seed, "test_with": str(built.directory)}
        dealt = build_pairs(copy, tmp_path, **options)
        assert not tested & people(dealt, "train")
        assert f"{len(tested)} patients who test the classifier do not train" in dealt.summary
    assert build_pairs(copy, tmp_path, **options).status == "reused"
    pooled = write_pairs(tmp_path / "pooled", table="none")
    medseg = build_pairs(pooled, tmp_path / "pooled_data", test_with=str(medseg_tests(tmp_path)))
    assert "medseg/all" not in people(medseg, "train"), "any of them may be the one who tests"
    with pytest.raises(DataError, match="no such folder"):
        build_pairs(copy, tmp_path, test_with="nowhere")


def medseg_tests(folder: Path) -> Path:
    """A built set whose test people are MedSeg's."""
    copy = write_pairs(folder / "medseg", pairs=PAIRS[-3:] + PAIRS[8:10])
    for seed in range(20):
        result = build_pairs(copy, folder / "medseg_data", split_seed=seed)
        if any(patient.startswith("medseg/") for patient in people(result, "test")):
            return result.directory
    raise AssertionError("no seed has MedSeg in the test set")


def test_without_the_table_medseg_stays_in_one_split(tmp_path: Path) -> None:
    result = build_pairs(write_pairs(tmp_path / "copy", table="none"), tmp_path / "data")
    table = read_table(result.directory)
    medseg = table.sources == "medseg"
    assert set(table.patients[medseg]) == {"medseg/all"}
    assert len(set(table.built_split[medseg].tolist())) == 1
    assert result.record["findings"]["people_counted_as_one"]["count"] == 3
    assert "- no classification table; country, age and sex are unknown" in result.summary


def test_a_second_build_reuses_and_changed_files_are_refused(tmp_path: Path) -> None:
    copy = write_pairs(tmp_path / "copy")
    assert build_pairs(copy, tmp_path / "data").status == "built"
    assert build_pairs(copy, tmp_path / "data").status == "reused"
    (copy / "meta_data_covid.csv").unlink()
    with pytest.raises(DataError, match="was built from other files"):
        build_pairs(copy, tmp_path / "data")


def test_damage_fails_the_default_and_is_reported_by_partial(tmp_path: Path) -> None:
    copy = write_pairs(tmp_path / "copy")
    (copy / "masks" / "bjorke_1.png").unlink()
    with pytest.raises(DataError, match="frames without a mask; left out: 1"):
        build_pairs(copy, tmp_path / "data")
    assert not list((tmp_path / "data").rglob("dataset_info.json"))
    partial = build_pairs(copy, tmp_path / "data", builder_config="partial")
    assert sum(partial.splits.values()) == len(PAIRS) - 1
    assert "! frames without a mask; left out: 1 (e.g. bjorke_1.png)" in partial.summary


def test_too_few_people_and_wrong_options_are_named(copy: Path, tmp_path: Path) -> None:
    one_person = write_pairs(tmp_path / "copy", pairs=PAIRS[:4])
    with pytest.raises(DataError, match="validation, test would have no slice, from 1 patient"):
        build_pairs(one_person, tmp_path / "data")
    with pytest.raises(ConfigError, match="manual_dir is missing"):
        build("covid_ct_lesions", data_dir=tmp_path)
    with pytest.raises(ConfigError, match="option 'masks' is unknown"):
        build_pairs(copy, tmp_path / "data", masks="use")
    with pytest.raises(ConfigError, match=r"max_damage_share=3 is no share"):
        build_pairs(copy, tmp_path / "data", max_damage_share=3)


def test_the_pack_of_real_pairs(shared: Path, tmp_path: Path) -> None:
    pack = shared / "realdata" / "pack_dev"
    result = build_pairs(pack, tmp_path)
    stored = records(result.directory)
    assert len(stored) == 49
    table = read_table(result.directory)
    assert_patient_disjoint(make_split(table, kind="built", seed=0), table.patients)
    for path in sorted((pack / "masks").iterdir())[::7]:
        with Image.open(io.BytesIO(path.read_bytes())) as mask:
            np.testing.assert_array_equal(
                stored[path.name]["lesion_mask"][..., 0], np.asarray(mask), err_msg=path.name
            )
        with Image.open(io.BytesIO((pack / "frames" / path.name).read_bytes())) as frame:
            np.testing.assert_array_equal(stored[path.name]["image"][..., 0], np.asarray(frame))


def test_the_enhanced_real_frames(shared: Path, tmp_path: Path) -> None:
    result = build_pairs(shared / "realdata" / "pack_dev" / "extra" / "jun_clahe256", tmp_path)
    assert sum(result.splits.values()) == 56
    assert result.record["by_group"] == {"COVID-19/jun": 56}


def draw_full_set(folder: Path, metadata: Path) -> None:
    """All 2,729 real names with tiny drawn pictures, and the real table beside them."""
    from mgajax.curation.kaggle_layout import read_table as read_csv
    from mgajax.imaging.pictures import encode_png

    table = folder / "meta_data_covid.csv"
    table.write_bytes((metadata / table.name).read_bytes())
    for name in ("frames", "masks"):
        (folder / name).mkdir()
    mask = encode_png(np.eye(4, dtype=np.uint8) * 255)
    for number, row in enumerate(read_csv(table, label=1)):
        prefix, _, name = row.file_name.partition("_")
        if prefix in ("13", "14", "16"):
            name = name.replace("Bjorke", "bjorke")
            noise = np.random.default_rng(number).integers(0, 256, (4, 4), dtype=np.uint8)
            (folder / "frames" / name).write_bytes(encode_png(noise))
            (folder / "masks" / name).write_bytes(mask)


@pytest.mark.slow(finds="names of the published pairs that are not matched, or are split otherwise")
def test_the_full_set_gets_the_papers_counts(shared: Path, tmp_path: Path) -> None:
    draw_full_set(tmp_path, shared / "realdata" / "metadata")
    with unchecked():
        result = build_pairs(tmp_path, tmp_path / "data")
    assert result.splits == {"train": 2329, "validation": 200, "test": 200}
    assert (result.record["patients"], result.record["rows"]) == (111, 2729)
    assert result.record["damage_share"] == 0
    assert {slug: f["count"] for slug, f in result.record["findings"].items()} == {
        "upside_down": 593
    }
