"""Patient keys: stripping, merging, refusing."""

import pytest

from mgajax.curation.patients import DOUBLE_IDENTITIES, patient_key
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
