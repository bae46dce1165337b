"""Patient keys: stripping, merging, refusing."""

import json
from pathlib import Path

import pytest

from mgajax.curation.patient_ids import (
    DOUBLE_IDENTITIES,
    patient_key,
    read_double_identities,
    second_ids,
)
from mgajax.errors import DataError


@pytest.mark.parametrize(
    ("source", "patient_id", "key"),
    [
        ("afshar", "P001", "afshar/P001"),
        ("jun", "\xa074724", "jun/74724"),
        ("zhao", "Zhao_Patient 180 ", "zhao/Zhao_Patient 180"),
        ("zhao", " Zhao_Patient 18", "zhao/Zhao_Patient 18"),
        ("cohen", "63", "zhao/Zhao_Patient 193"),
        ("cohen", "64\xa0", "zhao/Zhao_Patient 194"),
        ("cohen", "66", "zhao/Zhao_Patient 195"),
        ("zhao", "Zhao_Patient 196 ", "zhao/Zhao_Patient 195"),
        ("zhao", "Zhao_Patient 195", "zhao/Zhao_Patient 195"),
        ("zhao", "Zhao_Patient 163", "zhao/Zhao_Patient 154"),
        ("zhao", "Zhao_Patient 167 ", "zhao/Zhao_Patient 160"),
        ("jun", "66", "jun/66"),
    ],
)
def test_patient_key(source: str, patient_id: str, key: str) -> None:
    assert patient_key(source, patient_id) == key


def test_merges_end_in_ids_that_are_kept() -> None:
    assert not set(DOUBLE_IDENTITIES.values()) & set(DOUBLE_IDENTITIES)


@pytest.mark.parametrize("patient_id", ["", " ", "\xa0"])
def test_an_empty_id_is_refused(patient_id: str) -> None:
    with pytest.raises(DataError, match="is empty"):
        patient_key("jun", patient_id)


def test_an_unknown_source_is_refused() -> None:
    with pytest.raises(DataError, match="valid: zhao"):
        patient_key("bjorke", "1")


def test_pairs_of_pairs_are_one_person() -> None:
    pairs = [("jun/c", "jun/b"), ("jun/d", "jun/c"), ("jun/b", "jun/d"), ("zhao/2", "zhao/1")]
    assert second_ids(pairs) == {"jun/c": "jun/b", "jun/d": "jun/b", "zhao/2": "zhao/1"}
    assert second_ids([("jun/d", "jun/c"), ("jun/c", "jun/a")]) == {
        "jun/d": "jun/a",
        "jun/c": "jun/a",
    }
    assert second_ids([]) == {}


def test_the_pairs_of_an_audit_are_read(tmp_path: Path) -> None:
    path = tmp_path / "audit.json"
    path.write_text('{"double_identities": [{"patients": ["jun/1", "zhao/2"], "pairs": 3}]}')
    assert read_double_identities(path) == [("jun/1", "zhao/2")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("split,file_name", "not JSON"),
        ('{"metrics": {}}', "no list 'double_identities'"),
        ("[]", "no list 'double_identities'"),
        (json.dumps({"double_identities": [{"patients": ["jun/1"]}]}), "expected two ids"),
        (json.dumps({"double_identities": ["jun/1"]}), "patients is None"),
        (json.dumps({"double_identities": [{"patients": ["jun/1", "2"]}]}), "ids 'source/id'"),
    ],
)
def test_what_is_no_audit_is_refused(content: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "audit.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=f"audit.json.*{message}"):
        read_double_identities(path)
