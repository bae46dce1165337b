"""Which data set an arm learns from: the one that was given, or one that is drawn for it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mgajax.data.table import read_table

Draw = Callable[..., Path]
"""`draw(folder, **options)`: a phantom with these options in `folder`, built once."""


class DataSets:
    """The data sets of an experiment, each drawn and read once."""

    def __init__(
        self, *, given: Path | None, draw: Draw, folder: Path, phantom: Mapping[str, Any]
    ) -> None:
        """Nothing is drawn yet.

        Args:
          given: a built data set of the user's; None: all are drawn.
          draw: makes a phantom; the command line knows how.
          folder: where drawn ones go.
          phantom: options that all drawn ones share.
        """
        self.given = given
        self.phantom = dict(phantom)
        self._draw, self._folder = draw, folder
        self._fingerprints: dict[Path, str] = {}

    def place(self, options: Mapping[str, Any]) -> Path | None:
        """The folder of the data set.

        Args:
          options: of a drawn one, for arms that need something special of it.

        Returns:
          None where a data set was given and something special is needed: it cannot be had.
        """
        if self.given is not None:
            return None if options else self.given
        return self._draw(self._folder, **{**self.phantom, **options})

    def fingerprint(self, place: Path) -> str:
        """The hash of a data set's content."""
        if place not in self._fingerprints:
            self._fingerprints[place] = read_table(place).fingerprint
        return self._fingerprints[place]
