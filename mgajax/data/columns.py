"""The columns of slices by which they are split."""

import dataclasses
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Int

from mgajax.errors import DataError

AnyColumns = TypeVar("AnyColumns", bound="SliceColumns")


@dataclasses.dataclass(frozen=True, eq=False)
class SliceColumns:
    """Class, patient, source and name of slices, one row a slice.

    Attributes:
      labels: int [n], class codes of `mgajax.schema`.
      patients: str [n], source-qualified, double identities merged.
      sources: str [n], names of `mgajax.schema.SOURCES`.
      file_names: str [n].

    Raises:
      DataError: the columns have different lengths.
    """

    labels: Int[np.ndarray, "n"]
    patients: np.ndarray
    sources: np.ndarray
    file_names: np.ndarray

    def __post_init__(self) -> None:
        lengths = {name: len(column) for name, column in self.columns().items()}
        if len(set(lengths.values())) != 1:
            raise DataError(f"columns of unequal length {lengths}; expected one length")

    def __len__(self) -> int:
        return len(self.labels)

    def columns(self) -> dict[str, np.ndarray]:
        """The columns by name."""
        fields = dataclasses.fields(self)
        values = {field.name: getattr(self, field.name) for field in fields}
        return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}

    def select(self: AnyColumns, rows: Bool[np.ndarray, "n"] | Int[np.ndarray, "m"]) -> AnyColumns:
        """The slices at `rows` (a mask or indices)."""
        selected = {name: column[rows] for name, column in self.columns().items()}
        return dataclasses.replace(self, **selected)
