"""Who a slice belongs to: one key a person, whatever the archives call them.

Splits are only as honest as these keys. Two archives that reprint the same published figure give
one person two ids; such pairs are merged here, and nowhere else.
"""

from mgajax.errors import DataError
from mgajax.schema import SOURCES

DOUBLE_IDENTITIES: dict[str, str] = {
    "cohen/63": "zhao/Zhao_Patient 193",
    "cohen/64": "zhao/Zhao_Patient 194",
    "cohen/66": "zhao/Zhao_Patient 195",
    "zhao/Zhao_Patient 196": "zhao/Zhao_Patient 195",
}
"""Second id -> the id kept. All from one paper (doi
10.3348/kjr.2020.0132), whose figures both archives hold: the pictures correlate at 0.977 to 0.993.
Left apart, the raw `Patient ID` column would put the same picture into two splits."""


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
      DataError: for an unknown source, or an id that is empty once stripped: a slice of nobody
        cannot be put into a split safely.
    """
    if source not in SOURCES:
        raise DataError(f"source {source!r} of patient {patient_id!r}: valid: {', '.join(SOURCES)}")
    identity = tidy(patient_id)
    if not identity:
        raise DataError(f"patient id {patient_id!r} of source {source!r} is empty; give an id")
    key = f"{source}/{identity}"
    return DOUBLE_IDENTITIES.get(key, key)
