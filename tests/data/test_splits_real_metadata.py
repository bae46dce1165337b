"""The real metadata at full size: 17,104 rows, Table 2 exactly, no patient in two splits."""

import csv
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_columns import (
    TABLE2,
    assert_sources_balanced,
    assert_whole_patients,
    columns,
)

from mgajax.curation.lesion_pairs import ANNOTATED_SOURCES
from mgajax.curation.names import pair_name, patient_id_from_name, source_of
from mgajax.curation.patient_ids import patient_key
from mgajax.data.splits import (
    default_split,
    fraction_split,
    k_fold,
    leaking_slices,
    leave_one_source_out,
    lesion_split,
    split_from_csv,
    table2_split,
    write_split_csv,
)
from mgajax.data.table import SliceTable
from mgajax.errors import LeakageError
from mgajax.schema import COVID, SOURCES, SPLITS

DOUBLE_IDENTITIES = {
    "cohen/63": "zhao/Zhao_Patient 193",
    "cohen/64": "zhao/Zhao_Patient 194",
    "cohen/66": "zhao/Zhao_Patient 195",
    "zhao/Zhao_Patient 196": "zhao/Zhao_Patient 195",
    "zhao/Zhao_Patient 163": "zhao/Zhao_Patient 154",
    "zhao/Zhao_Patient 164": "zhao/Zhao_Patient 159",
    "zhao/Zhao_Patient 165": "zhao/Zhao_Patient 158",
    "zhao/Zhao_Patient 166": "zhao/Zhao_Patient 157",
    "zhao/Zhao_Patient 167": "zhao/Zhao_Patient 160",
}
pytestmark = pytest.mark.usefixtures("unchecked")

PREFIXES = {
    "6": "rahimzadeh",
    "13": "medseg",
    "14": "jun",
    "15": "cohen",
    "16": "morozov",
    "17": "zhao",
}


def metadata(folder: Path) -> SliceTable:
    """The columns of a folder's three metadata files, read here without the product's own reader."""
    rows, names = [], []
    for label, stem in enumerate(("normal", "covid", "cap")):
        with (folder / f"meta_data_{stem}.csv").open(encoding="cp1252", newline="") as file:
            for record in csv.DictReader(file):
                name = record["File name"]
                source = PREFIXES.get(name.split("_")[0], "afshar")
                key = f"{source}/{record['Patient ID'].strip()}"
                key = DOUBLE_IDENTITIES.get(key, key)
                assert patient_key(source, record["Patient ID"]) == key
                rows.append((label, source, key))
                names.append(name)
    return replace(columns(rows), file_names=np.array(names))


@pytest.fixture(scope="module")
def real(shared: Path) -> SliceTable:
    table = metadata(shared / "realdata" / "metadata")
    assert len(table.labels) == 17_104
    return table


def test_real_metadata_gets_table_2_exactly_with_no_patient_in_two_splits(real: SliceTable):
    assert len(set(real.patients.tolist())) == 455 + 604 + 54
    previous = None
    for seed in range(3):
        start = time.process_time()
        split = default_split(real, seed=seed)
        assert time.process_time() - start < 5
        assert split.name == "table2"
        assert split.counts(real.labels) == TABLE2
        assert_whole_patients(real, split)
        assert_sources_balanced(real, split, large=600, off=0.03)
        assert previous is None or (previous != split.assignment).mean() > 0.1
        previous = split.assignment


def test_real_metadata_fractions_folds_and_sources(real: SliceTable):
    base = table2_split(real, seed=0)
    before: set[int] = set()
    for percent in range(10, 100, 10):
        split = fraction_split(real, base=base, fraction=percent / 100, seed=0)
        train = set(split.indices("train").tolist())
        assert before < train
        before = train
        np.testing.assert_array_equal(split.indices("test"), base.indices("test"))
        assert abs(len(train) / (17_104 - 1238) - percent / 100) < 0.005
        assert_whole_patients(real, split)
    for source in SOURCES:
        split = leave_one_source_out(real, source=source, seed=0)
        np.testing.assert_array_equal(split.assignment == 2, real.sources == source)
        assert_whole_patients(real, split)
        assert ("CAP has no patient in train and validation" in split.notes) == (source == "afshar")
        left_out = bool(split.indices("unused").size)
        assert left_out == (source in ("cohen", "zhao"))
    tested = sum((k_fold(real, k=5, fold=f, seed=0).assignment == 2) * 1 for f in range(5))
    assert (np.asarray(tested) == 1).all()


def test_the_lesion_set_gets_the_papers_counts_with_no_patient_in_two_splits(real: SliceTable):
    """Its frames are the annotated archives' COVID-19 slices, called without their number."""
    rows = (real.labels == COVID) & np.isin(real.sources, ANNOTATED_SOURCES)
    table = real.select(rows)
    names = [pair_name(str(name)) for name in table.file_names]
    assert len(set(names)) == 2729
    assert [source_of(name) for name in names] == table.sources.tolist()
    for name, patient in zip(names, table.patients, strict=True):
        parsed = patient_id_from_name(name)
        assert parsed is None or patient == f"{source_of(name)}/{parsed}"
    previous = None
    for seed in range(3):
        start = time.process_time()
        split = lesion_split(table, seed=seed)
        assert time.process_time() - start < 2  # a third of a second
        assert [split.indices(part).size for part in SPLITS] == [2329, 200, 200]
        assert_whole_patients(table, split)
        assert_sources_balanced(table, split, large=700, off=0.05)
        for part in SPLITS:
            assert set(table.sources[split.indices(part)]) == set(ANNOTATED_SOURCES)
        assert previous is None or (previous != split.assignment).mean() > 0.02
        previous = split.assignment
    leaking = leaking_slices(table, base=split, seed=0)
    assert leaking.counts(table.labels) == split.counts(table.labels)
    assert leaking.notes[0].startswith("LEAKS: 7")


@pytest.mark.parametrize("seed", range(3))
def test_a_test_patient_of_the_classifier_does_not_train_its_segmenter(real: SliceTable, seed: int):
    """Both splits have the paper's counts at the same time."""
    annotated = (real.labels == COVID) & np.isin(real.sources, ANNOTATED_SOURCES)
    start = time.process_time()
    slices = default_split(real, seed=seed)
    tested = frozenset(real.patients[slices.indices("test")].tolist())
    lesions, alone = (
        lesion_split(real.select(annotated), seed=seed, held_out=held_out)
        for held_out in (tested, frozenset())
    )
    assert time.process_time() - start < 8
    assert slices.counts(real.labels) == TABLE2
    for split in (lesions, alone):
        assert [split.indices(part).size for part in SPLITS] == [2329, 200, 200]
        assert_whole_patients(real.select(annotated), split)
    assert_sources_balanced(real.select(annotated), lesions, large=700, off=0.05)
    patients = real.patients[annotated]
    training, before = (set(patients[split.indices("train")]) for split in (lesions, alone))
    assert not tested & training
    assert tested & before, "dealt alone, they do"
    assert tested & set(patients) <= set(patients[lesions.indices("test")])


def test_the_small_real_pack_splits_every_way(shared: Path):
    """Its CAP slices are all of one patient: they train, and the notes say what is missing."""
    table = metadata(shared / "realdata" / "pack_dev")
    split = default_split(table, seed=0)
    assert_whole_patients(table, split)
    counts = split.counts(table.labels)
    assert counts["train"]["CAP"] == (table.labels == 2).sum()
    assert "CAP has no patient in validation and test" in split.notes
    assert all(counts[part][name] for part in SPLITS for name in ("Normal", "COVID-19"))
    for fraction in (0.1, 0.5, 0.9):
        part = fraction_split(table, base=split, fraction=fraction, seed=0)
        assert_whole_patients(table, part)
    for source in np.unique(table.sources).tolist():
        split = leave_one_source_out(table, source=source, seed=0)
        np.testing.assert_array_equal(split.assignment == 2, table.sources == source)


def test_an_example_from_before_the_last_five_pairs_is_refused(
    shared: Path, real: SliceTable, tmp_path: Path
):
    """It lists patients by their raw id, and parts some that are one person."""
    folder = shared / "realdata"
    with (folder / "table2_split_example.csv").open(newline="") as file:
        parts = {row["Patient ID"].strip(): row["split"] for row in csv.DictReader(file)}
    spelt = {"train": "train", "val": "validation", "test": "test"}
    path = tmp_path / "example.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "split"])
        for stem in ("normal", "covid", "cap"):
            table = folder / "metadata" / f"meta_data_{stem}.csv"
            with table.open(encoding="cp1252", newline="") as rows:
                for row in csv.DictReader(rows):
                    writer.writerow([row["File name"], spelt[parts[row["Patient ID"].strip()]]])
    with pytest.raises(LeakageError, match=r"patient 'zhao/Zhao_Patient 1(54|57|58|59|60)'"):
        split_from_csv(path, table=real)


def test_a_split_of_the_real_set_reads_back(real: SliceTable, tmp_path: Path):
    split = table2_split(real, seed=0)
    write_split_csv(tmp_path / "split.csv", table=real, split=split)
    back = split_from_csv(tmp_path / "split.csv", table=real)
    np.testing.assert_array_equal(back.assignment, split.assignment)
    assert not back.notes
