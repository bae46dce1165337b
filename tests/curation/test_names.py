"""What file names tell."""

import pytest

from mgajax.curation import names


@pytest.mark.parametrize(
    ("name", "source", "patient"),
    [
        ("P104_69.png", "afshar", "P104"),
        ("N001_121.png", "afshar", "N001"),
        ("normal037_112.png", "afshar", "normal037"),
        ("cap006_10.png", "afshar", "cap006"),
        ("cp001_11.png", "afshar", "cp001"),
        ("6_Rahimzadeh_137covid_patient101_SR_4_IM00015.png", "rahimzadeh", "patient101"),
        ("16_Morozov_study_0255_13.png", "morozov", "study_id_255"),
        ("14_Jun_coronacases_case10_7.png", "jun", "case10"),
        ("14_Jun_radiopaedia_10_85902_3_case12_107.png", "jun", "74879"),
        ("14_Jun_radiopaedia_7_85703_0_case20_4.png", "jun", "74724"),
        ("14_Jun_radiopaedia_7_85703_0_case21_4.png", "jun", None),
        ("13_Bjorke_1.png", "medseg", None),
        ("bjorke_1.png", "medseg", None),
        ("Morozov_study_0255_13.png", "morozov", "study_id_255"),
        ("Jun_radiopaedia_10_85902_3_case12_107.png", "jun", "74879"),
        ("Jun_coronacases_case10_7.png", "jun", "case10"),
        ("15_Cohen_jkms-35-e79-g001-l-d.png", "cohen", None),
        ("17_Zhao_a-p1-21%0.png", "zhao", None),
        ("holiday.png", None, None),
        ("P104.png", None, None),
    ],
)
def test_source_and_patient(name: str, source: str | None, patient: str | None) -> None:
    assert names.source_of(name) == source
    assert names.patient_id_from_name(name) == patient


def test_both_spellings_of_the_damaged_names_meet() -> None:
    row = "17_Zhao_Recurrence-of-COVID-19-SARS-CoV-2-RNA-in-C_2020-p1-21%0.png"
    file = "17_Zhao_Recurrence-of-positive-SARS-CoV-2-RNA-in-C_2020-p1-21%0.PNG"
    assert names.canonical_name(row) == names.canonical_name(file)
    assert names.canonical_name(row) != names.canonical_name(row.replace("%0", "%1"))


def test_mask_names_are_those_of_the_lesion_set() -> None:
    assert names.mask_names("13_Bjorke_29.png") == ("13_bjorke_29", "bjorke_29")
    assert names.mask_names("16_Morozov_study_0255_13.png")[1] == "morozov_study_0255_13"
    assert names.mask_names("17_Zhao_2020.01.24.919183-p27-132.png") == (
        "17_zhao_2020.01.24.919183-p27-132",
    )


@pytest.mark.parametrize(
    ("name", "upside_down"),
    [
        ("13_Bjorke_29.png", True),
        ("14_Jun_radiopaedia_4_85506_1_case19_19.png", True),
        ("14_Jun_coronacases_case1_155.png", False),
        ("bjorke_29.png", True),
        ("Jun_radiopaedia_4_85506_1_case19_19.png", True),
        ("Jun_coronacases_case1_155.png", False),
        ("16_Morozov_study_0255_13.png", False),
    ],
)
def test_upside_down_is_a_rule_by_name(name: str, upside_down: bool) -> None:
    assert names.is_upside_down(name) is upside_down


def test_a_name_meets_its_file_however_accents_are_stored() -> None:
    """Macs store an accent apart from its letter."""
    assert names.canonical_name("17_Zhao_cafe\u0301-p1.png") == names.canonical_name(
        "17_Zhao_caf\u00e9-p1.png"
    )
