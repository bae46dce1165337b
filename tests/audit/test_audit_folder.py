"""Audits of whole folders: planted leaks are found, and nothing else is."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from drawn_copies import Pictures, drawn_people, patient_of, write_pictures, write_split
from kaggle_fixture import FOLDERS

from mgajax.audit import fingerprints
from mgajax.audit.audit import CACHE, IllustratedAudit, audit_folder
from mgajax.audit.audit_result import Pair
from mgajax.audit.copies import SAME, exact_copies, near_copies
from mgajax.audit.page import audit_page
from mgajax.audit.slices import open_slices
from mgajax.audit.summary import summary
from mgajax.curation.findings import Finding
from mgajax.data.splits import Split, write_split_csv
from mgajax.errors import ConfigError, DataError

Bad = tuple[IllustratedAudit, dict[str, frozenset[str]]]


def names(pair: Pair) -> frozenset[str]:
    return frozenset((pair.first.file_name, pair.second.file_name))


def test_a_clean_copy_is_clean(clean: IllustratedAudit, people: Pictures) -> None:
    result = clean.result
    assert result.is_clean
    assert (result.slices, result.patients) == (len(people), 16)
    assert (result.pairs, result.copies_within, result.split_patients) == ((), (), ())
    assert result.damaged == 0
    assert result.split == ""


@pytest.mark.parametrize(
    "difference", ["upside down", "cropped", "recoded", "mirrored left to right", "equal pixels"]
)
def test_a_planted_copy_is_found(bad: Bad, difference: str) -> None:
    audited, planted = bad
    (pair,) = [pair for pair in audited.result.pairs if names(pair) == planted[difference]]
    assert pair.difference == difference
    assert pair.correlation >= SAME
    assert pair.leaks == ({pair.first.split, pair.second.split} == {"train", "test"})


def test_only_planted_faults_are_found(bad: Bad) -> None:
    audited, planted = bad
    assert Counter(map(names, audited.result.pairs)) == Counter(planted.values())
    assert not audited.result.copies_within
    ids = {frozenset(identity.patients) for identity in audited.result.identities}
    expected = {frozenset(f"afshar/{patient_of(n)}" for n in pair) for pair in planted.values()}
    assert ids == expected


def test_a_patient_in_two_splits_is_found(bad: Bad, people: Pictures) -> None:
    (shared_patient,) = bad[0].result.split_patients
    patient = patient_of(next(name for label, name in people if label == 1))
    assert (shared_patient.patient, dict(shared_patient.slices)) == (
        f"afshar/{patient}",
        {"train": 1, "test": 1},
    )


def test_a_picture_in_two_classes_is_a_conflict(bad: Bad) -> None:
    audited, planted = bad
    (conflict,) = [pair for pair in audited.result.pairs if pair.is_conflict]
    assert names(conflict) == planted["equal pixels"]
    assert audited.result.conflicts == 1
    assert not audited.result.is_clean


def test_a_copy_in_one_split_does_not_leak(people: Pictures, tmp_path: Path, cache: Path) -> None:
    (label, name), data = next(iter(people.items()))
    pictures = {**people, (label, "P9001_1.png" if label == 1 else f"{name[0]}9001_1.png"): data}
    copy = write_pictures(tmp_path / "copy", pictures)
    split = write_split(tmp_path / "split.csv", pictures, test=set())
    together = audit_folder(copy, split=split, cache=cache).result
    assert len(together.pairs) == 1
    assert together.is_clean
    unknown = audit_folder(copy, cache=cache).result
    assert not unknown.is_clean, "a split by patient may part them"


def test_damage_is_named_and_counted(
    clean_copy: Path, people: Pictures, tmp_path: Path, cache: Path
) -> None:
    copy = shutil.copytree(clean_copy, tmp_path / "copy")
    (label, cut), (gone_label, gone) = list(people)[:2]
    path = copy / "curated_data" / FOLDERS[label] / cut
    path.write_bytes(path.read_bytes()[:-200])
    (copy / "curated_data" / FOLDERS[gone_label] / gone).unlink()
    result = audit_folder(copy, cache=cache).result
    examples = {finding.kind: finding.examples for finding in result.findings}
    assert examples[Finding.UNDECODABLE] == (cut,)
    assert examples[Finding.ROW_WITHOUT_FILE] == (gone,)
    assert result.damaged == 2
    assert result.slices == len(people) - 2
    assert result.is_clean, "damage is no leakage"


def test_one_name_in_two_classes_is_a_conflict(
    clean_copy: Path, people: Pictures, tmp_path: Path, cache: Path
) -> None:
    copy = shutil.copytree(clean_copy, tmp_path / "copy")
    (label, name), data = next(iter(people.items()))
    (copy / "curated_data" / FOLDERS[(label + 1) % 3] / name).write_bytes(data)
    result = audit_folder(copy, cache=cache).result
    (pair,) = result.pairs
    assert pair.is_conflict
    assert not pair.leaks
    assert not result.is_clean


def test_a_second_audit_decodes_nothing(
    clean_copy: Path, clean: IllustratedAudit, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(fingerprints, "decode_picture", fail)
    again = audit_folder(clean_copy, cache=cache)
    assert again.result.to_json() == clean.result.to_json()
    np.testing.assert_array_equal(again.thumbnails, clean.thumbnails)


def test_a_damaged_cache_is_made_again(
    clean_copy: Path, clean: IllustratedAudit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / CACHE).write_bytes(b"PK\x03\x04 torn")
    assert audit_folder(clean_copy, cache=tmp_path).result.to_json() == clean.result.to_json()
    assert "unusable" in capsys.readouterr().err


def test_masks_are_checked(clean_copy: Path, people: Pictures, tmp_path: Path, cache: Path) -> None:
    from drawn_copies import pixels, png

    (first, second) = [key for key in people if key[0] == 1][:2]
    shape = pixels(people[first]).shape
    (tmp_path / first[1]).write_bytes(png(np.full((8, 8), 255, np.uint8)))
    (tmp_path / second[1]).write_bytes(b"no mask")
    (tmp_path / "P7777_1.png").write_bytes(png(np.zeros(shape, np.uint8)))
    result = audit_folder(clean_copy, masks=tmp_path, cache=cache).result
    examples = {finding.kind: finding.examples for finding in result.findings}
    assert examples[Finding.MASK_SIZE] == (first[1],)
    assert examples[Finding.MASK_UNDECODABLE] == (second[1],)
    assert examples[Finding.MASK_WITHOUT_SLICE] == ("P7777_1.png",)


def test_a_built_data_set_is_audited_by_its_own_split(phantom: Path, tmp_path: Path) -> None:
    result = audit_folder(phantom, cache=tmp_path).result
    assert result.kind == "built data set"
    assert result.split == "built"
    assert result.is_clean, result.pairs
    assert result.pairs == ()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "nowhere", "no such folder"),
        (lambda folder: folder, "no dataset_info.json"),
    ],
)
def test_a_folder_of_something_else_is_refused(make, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        audit_folder(make(tmp_path), cache=tmp_path / "cache")


def test_drawn_people_are_not_taken_for_one_another() -> None:
    pictures = drawn_people(patients=60, slices=1, size=128)
    prints = [fingerprints.fingerprint(data, name=name) for (_, name), data in pictures.items()]
    thumbnails, anchors = (
        np.stack([getattr(slice_print, field) for slice_print in prints])
        for field in ("thumbnail", "anchors")
    )
    assert near_copies(thumbnails, anchors, people=np.arange(60, dtype=np.int32)) == []
    assert exact_copies([slice_print.pixels for slice_print in prints]) == []


def test_a_test_patient_may_not_train_the_segmenter(
    people: Pictures, clean_copy: Path, tmp_path: Path, cache: Path
) -> None:
    names = [name for _, name in people]
    slices = open_slices(clean_copy)
    split_csv, other_csv = tmp_path / "here.csv", tmp_path / "there.csv"
    for path, test in ((split_csv, names[:6]), (other_csv, names[:4])):
        codes = np.where(np.isin(slices.file_names, test), 2, 0).astype(np.int8)
        write_split_csv(path, table=slices, split=Split("given", codes))
    apart = audit_folder(clean_copy, split=split_csv, trained_on=split_csv, cache=cache).result
    assert apart.is_clean
    assert "test, but train segmenter" in summary(apart)
    audited = audit_folder(clean_copy, split=split_csv, trained_on=other_csv, cache=cache)
    result = audited.result
    page = audit_page(result, thumbnails=audited.thumbnails, shapes=audited.shapes)
    assert "Test patients who train the segmenter" in page
    (shared,) = result.shared_patients
    assert (shared.tested, shared.trained) == (2, 2)
    assert not result.is_clean
    assert f"{shared.patient}: 2 test slices here, 2 training slices of the segmenter" in summary(
        result
    )
    assert result.to_json()["test_patients_who_train_the_segmenter"][0] == vars(shared)
    with pytest.raises(ConfigError, match="no split of .* is known; give --split"):
        audit_folder(clean_copy, trained_on=other_csv, cache=cache)


def test_a_built_set_says_who_trained_the_segmenter(phantom: Path, tmp_path: Path) -> None:
    result = audit_folder(phantom, trained_on=phantom, cache=tmp_path).result
    assert result.trained_on == str(phantom)
    assert result.shared_patients == ()
