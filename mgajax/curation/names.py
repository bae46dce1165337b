"""What the file names of the curated set give: archive, patient, mask and orientation.

The names are the set's only complete key, so all that can be read from them is read here.
The companion lesion set drops the archive's number and writes `bjorke` in lower case
(`13_Bjorke_1.png` -> `bjorke_1.png`); both spellings are understood everywhere. Nothing interprets
`%`, which 217 names of the Zhao archive contain.
"""

import re
import unicodedata
from pathlib import PurePath

SOURCE_PREFIXES: dict[str, str] = {
    "6_rahimzadeh_": "rahimzadeh",
    "13_bjorke_": "medseg",
    "14_jun_": "jun",
    "15_cohen_": "cohen",
    "16_morozov_": "morozov",
    "17_zhao_": "zhao",
    "bjorke_": "medseg",
    "jun_": "jun",
    "morozov_": "morozov",
}
"""Name prefix (lower case) -> source. Afshar's slices have none: see `_AFSHAR`. Those without a
number are the lesion set's."""

_AFSHAR = re.compile(r"((?:P|N|normal|cap|cp)\d+)_\d+", re.IGNORECASE)
_RAHIMZADEH = re.compile(r"_(patient\d+)_SR_", re.IGNORECASE)
_MOROZOV = re.compile(r"_study_0*(\d+)_", re.IGNORECASE)
_CORONACASES = re.compile(r"_coronacases_(case\d+)_", re.IGNORECASE)
_RADIOPAEDIA = re.compile(r"_radiopaedia_\w*?case(\d+)_", re.IGNORECASE)

RADIOPAEDIA_CASES: dict[int, str] = {
    11: "74879",
    12: "74879",
    13: "74887",
    14: "75281",
    15: "75329",
    16: "75329",
    17: "75350",
    18: "75417",
    19: "74576",
    20: "74724",
}
"""Volume number in a Jun radiopaedia name -> the person's Radiopaedia case id. Twenty volumes come
from eighteen people: 11 and 12 are one person, 15 and 16 another."""


def canonical_name(file_name: str) -> str:
    """The form in which names of CSV rows and of files are compared.

    Accents are composed (Macs store them apart from their letters), case is folded, and `positive`
    becomes `COVID-19`: a global replacement in the covid CSV changed two file names
    ("Recurrence-of-positive-SARS-CoV-2..."), so that rows and files spell them differently. All of the
    17,104 names stay distinct.
    """
    composed = unicodedata.normalize("NFC", file_name.strip())
    return composed.casefold().replace("positive", "covid-19")


def source_of(file_name: str) -> str | None:
    """The source by the name's prefix, or None for a name of no known archive."""
    name = file_name.casefold()
    for prefix, source in SOURCE_PREFIXES.items():
        if name.startswith(prefix):
            return source
    return "afshar" if _AFSHAR.match(file_name) else None


def patient_id_from_name(file_name: str) -> str | None:
    """The patient id as the CSVs spell it, if the name holds it; else None.

    Names of Afshar, Rahimzadeh, Morozov and Jun do (also of the ten coronacases people, whose ids are
    empty in an early release of the CSVs). Zhao's, Cohen's and MedSeg's people are only in the CSV.
    """
    source = source_of(file_name)
    if source == "afshar":
        return _group(_AFSHAR, file_name)
    if source == "rahimzadeh":
        return _group(_RAHIMZADEH, file_name)
    if source == "morozov":
        study = _group(_MOROZOV, file_name)
        return f"study_id_{study}" if study else None
    if source == "jun":
        case = _group(_RADIOPAEDIA, file_name)
        return RADIOPAEDIA_CASES.get(int(case)) if case else _group(_CORONACASES, file_name)
    return None


def is_upside_down(file_name: str) -> bool:
    """Whether the slice is stored with the spine at the top: Jun's radiopaedia and all of MedSeg.

    A rule by name: those volumes are oriented differently from the other NIfTI files, and the
    curated set turned all alike.
    """
    return pair_name(file_name).startswith(("jun_radiopaedia_", "bjorke_"))


def pair_name(file_name: str) -> str:
    """The canonical name of a slice in the lesion set, without number and suffix.

    `14_Jun_coronacases_case1_100.png` and `Jun_coronacases_case1_100.png` give
    `jun_coronacases_case1_100`.
    """
    return re.sub(r"^(13|14|16)_", "", canonical_name(PurePath(file_name).stem))


def mask_names(file_name: str) -> tuple[str, ...]:
    """Canonical names under which a slice's lesion mask may lie, best first: its own, the pair's."""
    own_name, short_name = canonical_name(PurePath(file_name).stem), pair_name(file_name)
    return (own_name,) if short_name == own_name else (own_name, short_name)


def _group(pattern: re.Pattern[str], file_name: str) -> str | None:
    match = pattern.search(file_name)
    return match.group(1) if match else None
