"""The patient ids of the two releases of COVID-CT-MD.

The published set was made from the release of October 2020 (arXiv); the current one (Figshare)
renumbered the patients. The tables below follow from the label rows, 78 of 78 of which are equal.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from mgajax.schema import COVID

Release = Literal["2020", "current"]

COVID_MOVED: dict[str, str] = {
    **{f"P{current:03}": f"P{current + 1:03}" for current in range(44, 50)},
    "P050": "P058",
    "P051": "P104",
    "P052": "P109",
    "P053": "P129",
    "P054": "P142",
}
"""Labelled COVID patients: current folder -> published id. P001 to P043 kept theirs, the old P044
was withdrawn; patients after P054 have no slice labels and are not in the published set."""

CAP_MOVED: dict[str, str] = {
    f"cap{current:03}": f"cp{current if current < 6 else current + 1:03}"
    for current in range(1, 26)
}
"""Labelled CAP patients: current folder -> published id; the old p006 was left out. The published
ids `cap006` to `cap036` are other people, whose current folders are not known."""

NORMAL_MOVED: dict[str, str] = {"normal001": "N001"}
"""Of the normals only normal001 (N001) and normal002 (normal002) are identified by their pixels;
for 36 of 38 published `normal###` age and sex agree with the current folder of that number, which
is why the others keep theirs."""

ONLY_2020: frozenset[str] = frozenset({"P058", "P104", "P109", "P129", "P142"})
"""Labelled COVID patients that only the release of 2020 has."""

NOT_PUBLISHED_OFFSET = 1000
"""Added to the number of a patient who is not in the published set, where the plain number is
another person's there: the current P058 becomes P1058, for the published P058 is P050."""


@dataclass(frozen=True)
class PatientId:
    """A patient's id as the published set spells it, and whether the set holds that patient."""

    text: str
    is_published: bool


def release_of(rows: Iterable[tuple[str, str]]) -> Release:
    """Which release an Index.csv belongs to, by its (diagnosis, folder) rows."""
    for _, folder in rows:
        if folder in ONLY_2020 or folder.startswith("p"):
            return "2020"
    return "current"


def published_id(folder: str, *, label: int, release: Release) -> PatientId:
    """The published id of the patient in `folder`.

    Args:
      folder: e.g. "P051", "cap006" or, in the release of 2020, "p007".
      label: index into `CLASS_NAMES`.
      release: which release numbered the folders.
    """
    number = int("".join(filter(str.isdigit, folder)) or 0)
    if label == 0:
        return PatientId(NORMAL_MOVED.get(folder, folder), is_published=True)
    if label == COVID:
        if release == "2020":
            return PatientId(folder, is_published=number <= 50 or folder in ONLY_2020)
        if number <= 43:
            return PatientId(folder, is_published=True)
        new_id = COVID_MOVED.get(folder)
    elif release == "2020" and folder.startswith("p"):
        return PatientId(f"cp{number:03}", is_published=number <= 26)
    else:
        new_id = CAP_MOVED.get(folder)
    if new_id is not None:
        return PatientId(new_id, is_published=True)
    letters = folder.rstrip("0123456789")
    return PatientId(f"{letters}{number + NOT_PUBLISHED_OFFSET}", is_published=False)
