"""One key for each person, whatever ids the archives use.

Splits depend on these keys. Two archives that reprint the same published figure give one person two
ids, and so does one that prints a figure twice; such pairs are merged here.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from mgajax.errors import DataError
from mgajax.schema import SOURCES

DOUBLE_IDENTITIES: dict[str, str] = {
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
"""Second id -> the id that counts. The first four are from one paper (doi 10.3348/kjr.2020.0132), whose
figures both archives hold: the pictures correlate at 0.977 to 0.993. The other five were found by
`mgajax audit`, and confirmed by eye. Without the merge, the raw `Patient ID` column would put the same
picture into two splits."""


def tidy(text: str | None) -> str:
    """`text` without surrounding white space, no-break spaces included; '' for None.

    Two ids of the curated set carry such padding: `\\xa074724` and `Zhao_Patient 180 `.
    """
    return (text or "").strip().strip("\ufeff\u200b").strip()


def patient_key(source: str, patient_id: str) -> str:
    """The key of one person: `"<source>/<id>"`, padding stripped, double identities merged.

    Args:
      source: one of `SOURCES`.
      patient_id: the archive's own id, as text (ids such as "66" are not numbers).

    Raises:
      DataError: for an unknown source, or an id that is empty once stripped: a slice of an unknown
        person cannot be put into a split safely.
    """
    if source not in SOURCES:
        raise DataError(f"source {source!r} of patient {patient_id!r}: valid: {', '.join(SOURCES)}")
    identity = tidy(patient_id)
    if not identity:
        raise DataError(f"patient id {patient_id!r} of source {source!r} is empty; give an id")
    key = f"{source}/{identity}"
    return DOUBLE_IDENTITIES.get(key, key)


def read_double_identities(path: Path) -> list[tuple[str, str]]:
    """The pairs of ids that an audit found to be one person.

    Args:
      path: an `audit.json` of `mgajax audit`; wrong pairs may be removed from it.

    Raises:
      DataError: no such file, not the JSON of an audit, or a pair that is not two ids.
    """
    try:
        audit = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); give an audit.json") from error
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}); give an audit.json") from error
    entries = audit.get("double_identities") if isinstance(audit, dict) else None
    if not isinstance(entries, list):
        raise DataError(
            f"{path}: no list 'double_identities'; give the audit.json that `mgajax audit` wrote"
        )
    return [
        _read_pair(entry, origin=f"{path}, double_identities[{index}]")
        for index, entry in enumerate(entries)
    ]


def _read_pair(entry: object, *, origin: str) -> tuple[str, str]:
    ids = entry.get("patients") if isinstance(entry, dict) else None
    match ids:
        case [str(first), str(second)] if all(_is_key(key) for key in (first, second)):
            return first, second
    raise DataError(
        f"{origin}: patients is {ids!r}; expected two ids 'source/id', of {', '.join(SOURCES)}"
    )


def _is_key(text: str) -> bool:
    source, slash, identity = text.partition("/")
    return bool(source in SOURCES and slash and identity.strip())


def second_ids(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Second id -> the id that counts, for people with several: A = B and B = C are one person A."""
    first_ids: dict[str, str] = {}

    def first_id(key: str) -> str:
        while key in first_ids:
            key = first_ids[key]
        return key

    for pair in pairs:
        first, second = sorted(map(first_id, pair))
        if first != second:
            first_ids[second] = first
    return {key: first_id(key) for key in first_ids}
