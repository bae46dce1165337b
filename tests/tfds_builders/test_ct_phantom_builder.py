"""The phantom as a TFDS data set: records, splits, idempotence, interruption; no TensorFlow."""

import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from mgajax.curation.predicted_masks import digest_masks
from mgajax.data.table import read_table
from mgajax.errors import ConfigError
from mgajax.schema import CLASS_NAMES, MASK_ORIGINS, SOURCES, SPLITS
from tfds_builders import BuildResult, build
from tfds_builders.ct_phantom import CtPhantom, PhantomConfig, draw_patient, draw_slice
from tfds_builders.ct_phantom import builder as builder_module
from tfds_builders.ct_phantom.builder import split_patients
from tfds_builders.ct_phantom.masks import annotated_patients
from tfds_builders.ct_phantom.slices import PhantomSettings


@pytest.fixture(scope="module")
def built(phantom: Path) -> BuildResult:
    """The set of the whole session: found, not built again."""
    return build("ct_phantom", data_dir=phantom.parents[2], builder_config="tiny")


def records(directory: Path) -> dict[str, list[dict]]:
    sources = tfds.builder_from_directory(str(directory)).as_data_source()
    return {split: list(sources[split]) for split in SPLITS}


def test_every_slice_is_stored_once_as_it_was_drawn(built):
    stored = {
        r["file_name"].decode(): r for rows in records(built.directory).values() for r in rows
    }
    assert len(stored) == 24 * 3 == sum(built.splits.values())
    for number in (0, 1, 2, 23):
        patient = draw_patient(number, seed=0, slices=3)
        for index in range(3):
            drawn = draw_slice(patient, index=index, size=96)
            record = stored[drawn.file_name]
            for name in ("image", "lesion_mask", "lung_mask"):
                np.testing.assert_array_equal(record[name][:, :, 0], getattr(drawn, name))
            assert record["label"] == patient.label
            assert record["source"] == SOURCES.index(patient.source)
            assert record["patient"].decode() == patient.key
            assert record["age"] == patient.age
            assert record["gender"].decode() == patient.gender
            assert record["country"] == b""
            assert record["flags"].decode() == ",".join(drawn.flags)
            assert record["mask_origin"] == MASK_ORIGINS.index("annotated")


def test_splits_hold_whole_patients_of_every_class(built):
    patients = {
        split: {r["patient"] for r in rows} for split, rows in records(built.directory).items()
    }
    assert sum(len(members) for members in patients.values()) == 24
    assert len(set.union(*patients.values())) == 24
    for split, rows in records(built.directory).items():
        assert {r["label"] for r in rows} == set(range(len(CLASS_NAMES))), split


def test_tfds_reads_it_by_name_and_tensorflow_stays_away(built):
    source = tfds.data_source(
        "ct_phantom/tiny", split="test", data_dir=str(built.directory.parents[2])
    )
    assert len(source) == built.splits["test"]
    assert source[0]["image"].dtype == np.uint8
    assert "tensorflow" not in sys.modules


def test_a_second_build_reuses_the_first(built):
    before = {file: file.stat().st_mtime_ns for file in built.directory.iterdir()}
    again = build("ct_phantom", data_dir=built.directory.parents[2], builder_config="tiny")
    assert again.status == "reused"
    assert {file: file.stat().st_mtime_ns for file in built.directory.iterdir()} == before


def test_dials_of_ones_own_reach_the_records(tmp_path):
    config = PhantomConfig(name="mine", patients=16, slices_per_patient=1, size=40, shortcut=1.0)
    builder = CtPhantom(data_dir=str(tmp_path), config=config)
    builder.download_and_prepare()
    rows = [r for part in records(Path(builder.data_dir)).values() for r in part]
    assert len(rows) == 16
    assert len({(int(r["label"]), int(r["source"])) for r in rows}) == len(CLASS_NAMES)
    assert builder.info.metadata["summary"]["shortcut"] == 1.0


def origins(directory: Path) -> dict[str, set[str]]:
    """The mask origins of every patient's slices."""
    by_patient: dict[str, set[str]] = {}
    for rows in records(directory).values():
        for r in rows:
            by_patient.setdefault(r["patient"].decode(), set()).add(MASK_ORIGINS[r["mask_origin"]])
    return by_patient


@pytest.fixture(scope="module")
def half(tmp_path_factory) -> BuildResult:
    folder = tmp_path_factory.mktemp("data")
    return build("ct_phantom", data_dir=folder, builder_config="tiny", annotated=0.5)


def test_only_annotated_patients_keep_their_masks(built, half):
    assert half.name == "ct_phantom/tiny-annotated_0.5"
    of_patient = origins(half.directory)
    assert all(len(names) == 1 for names in of_patient.values())
    assert sum("annotated" in names for names in of_patient.values()) == 5 + 5 + 3
    whole = {r["file_name"]: r for rows in records(built.directory).values() for r in rows}
    for rows in records(half.directory).values():
        for r in rows:
            exact = whole[r["file_name"]]
            np.testing.assert_array_equal(r["image"], exact["image"])
            np.testing.assert_array_equal(r["lung_mask"], exact["lung_mask"])
            if MASK_ORIGINS[r["mask_origin"]] == "annotated":
                np.testing.assert_array_equal(r["lesion_mask"], exact["lesion_mask"])
            else:
                assert not r["lesion_mask"].any()
    summary = half.record
    assert (summary["masked"], summary["unmasked"], summary["predicted"]) == (39, 33, 0)
    assert "39 slices with an annotated lesion mask" in half.summary


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_annotated_are_a_share_of_every_class_and_split(share, seed):
    parts = split_patients(PhantomSettings(patients=80, size=32, seed=seed))
    chosen = annotated_patients(parts, share=share, seed=seed)
    for label in range(len(CLASS_NAMES)):
        of_class = [[p.number for p in m if p.label == label] for m in parts.values()]
        counts = [sum(n in chosen for n in numbers) for numbers in of_class]
        sizes = [len(numbers) for numbers in of_class]
        assert sum(counts) == int(share * sum(sizes) + 0.5)
        assert all(abs(c - share * s) < 1 for c, s in zip(counts, sizes, strict=True))
    assert chosen == annotated_patients(parts, share=share, seed=seed)
    if 0 < share < 1:
        assert chosen != annotated_patients(parts, share=share, seed=seed + 1)


def test_one_class_is_annotated_and_the_test_split_exact(built, tmp_path):
    """The annotated of that class are those of the same share in every class."""
    options = {"annotated": 0.36, "annotated_class": "COVID-19"}
    exact_build = build(
        "ct_phantom", data_dir=tmp_path, builder_config="tiny", exact_test=True, **options
    )
    parts = split_patients(PhantomSettings(patients=24, slices_per_patient=3, size=96))
    chosen = annotated_patients(parts, share=0.36, seed=0, only="COVID-19")
    covid = {p.number for members in parts.values() for p in members if p.label == 1}
    assert chosen == annotated_patients(parts, share=0.36, seed=0) & covid
    whole, stored = records(built.directory), records(exact_build.directory)
    for split, rows in stored.items():
        of_patient = {p.key: p.number for p in parts[split]}
        for r, exact in zip(rows, whole[split], strict=True):
            annotated = split == "test" or of_patient[r["patient"].decode()] in chosen
            assert MASK_ORIGINS[r["mask_origin"]] == ("annotated" if annotated else "none")
            if annotated:
                np.testing.assert_array_equal(r["lesion_mask"], exact["lesion_mask"])
    with pytest.raises(ConfigError, match="COVID-19"):
        PhantomConfig(name="mine", annotated_class="COVID")


def test_predicted_masks_go_to_the_others(built, half, tmp_path):
    shapes = {
        r["file_name"].decode(): r["image"].shape[:2]
        for rows in records(half.directory).values()
        for r in rows
    }
    folder = tmp_path / "predicted"
    folder.mkdir()
    absent, wrong = sorted(
        r["file_name"].decode()
        for rows in records(half.directory).values()
        for r in rows
        if MASK_ORIGINS[r["mask_origin"]] == "none"
    )[:2]
    for name, (height, width) in shapes.items():
        Image.new("L", (width + (name == wrong), height), 99).save(folder / name)
    (folder / absent).unlink()
    options = {"builder_config": "tiny", "annotated": 0.5, "masks": str(folder)}
    result = build("ct_phantom", data_dir=tmp_path / "data", **options)
    digest = digest_masks(folder)[:12]
    assert result.name == f"ct_phantom/tiny-annotated_0.5-masks_{digest}"
    before = {r["file_name"]: r for rows in records(half.directory).values() for r in rows}
    for rows in records(result.directory).values():
        for r in rows:
            origin, was = MASK_ORIGINS[r["mask_origin"]], before[r["file_name"]]
            if MASK_ORIGINS[was["mask_origin"]] == "annotated":
                assert origin == "annotated"
                np.testing.assert_array_equal(r["lesion_mask"], was["lesion_mask"])
            elif r["file_name"].decode() in (absent, wrong):
                assert origin == "none"
            else:
                assert origin == "predicted"
                assert (r["lesion_mask"] == 99).all()
    findings = result.record["findings"]
    assert findings["no_mask"]["examples"] == [absent]
    assert findings["mask_size_mismatch"]["examples"] == [wrong]
    assert "39 slices with an annotated lesion mask, 31 with a predicted one" in result.summary
    assert build("ct_phantom", data_dir=tmp_path / "data", **options).status == "reused"


def test_telling_all_is_the_data_set_as_ever(built, tmp_path):
    result = build("ct_phantom", data_dir=tmp_path, builder_config="tiny", annotated=1.0)
    assert read_table(result.directory).fingerprint == read_table(built.directory).fingerprint
    assert result.record == built.record
    assert "masked" not in built.record


def test_an_interrupted_build_leaves_nothing_that_reads_as_complete(tmp_path, monkeypatch):
    calls = 0

    def failing(patient, *, index, size):
        nonlocal calls
        calls += 1
        if calls > 20:
            raise KeyboardInterrupt
        return draw_slice(patient, index=index, size=size)

    monkeypatch.setattr(builder_module, "draw_slice", failing)
    with pytest.raises(KeyboardInterrupt):
        build("ct_phantom", data_dir=tmp_path, builder_config="tiny")
    assert not list(tmp_path.glob("ct_phantom/tiny/1.0.0/*"))
    monkeypatch.undo()
    assert build("ct_phantom", data_dir=tmp_path, builder_config="tiny").status == "built"


def test_shipped_configs_are_drawable_and_split():
    for config in CtPhantom.BUILDER_CONFIGS:
        assert config.settings.patients == config.patients
    parts = split_patients(CtPhantom.builder_configs["quickstart"].settings)
    assert {name: len(members) for name, members in parts.items()} == {
        "train": 72,
        "validation": 18,
        "test": 30,
    }


def test_impossible_dials_stop_the_build(tmp_path):
    for options, message in (
        ({"shortcut": 2.0}, "shortcut=2.0"),
        ({"patients": 2}, "patients=2"),
        ({"annotated": 1.5}, "annotated=1.5 must lie in"),
        ({"masks": "absent"}, "masks='absent': no such folder"),
    ):
        with pytest.raises(ConfigError, match=message):
            build("ct_phantom", data_dir=tmp_path, builder_config="tiny", **options)
    assert not list(tmp_path.glob("ct_phantom/*/1.0.0"))
