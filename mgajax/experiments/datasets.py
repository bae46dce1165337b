"""The data set that an arm trains on: the user's, or a phantom drawn for it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from mgajax import config as configs
from mgajax.data.table import read_table
from mgajax.errors import TrainingError
from mgajax.inference.segment import segment
from mgajax.training.loop import train

MASKS = "masks"
"""An arm's option: the slices without a lesion mask get a predicted one, `binary` or `soft`."""

STEP1_EPOCHS = "step1_epochs"
"""An arm's option: how often step 1 sees the annotated slices; the quickstart's number by default."""

STEP1 = "step1"
SEGMENTER = "configs/quickstart.py"

Draw = Callable[..., Path]
"""`draw(folder, **options)`: a phantom with these options in `folder`, built once."""


class DataSets:
    """The data sets of an experiment, each drawn and read once.

    Attributes:
      built: the user's data set; None: all are drawn.
      phantom: options that all drawn sets share.
      segmenters: runs of step 1 that predicted masks for the sets placed so far.
    """

    def __init__(
        self, *, built: Path | None, draw: Draw, folder: Path, phantom: Mapping[str, Any]
    ) -> None:
        """Store the settings; no set is drawn yet.

        Args:
          built: a built data set of the user's; None: all are drawn.
          draw: draws a phantom; passed in by the command line.
          folder: gets the drawn sets.
          phantom: options that all drawn ones share.
        """
        self.built = built
        self.phantom = dict(phantom)
        self._draw, self._folder = draw, folder
        self._fingerprints: dict[Path, str] = {}
        self.segmenters: list[Path] = []

    def place(self, options: Mapping[str, Any]) -> Path | None:
        """The folder of the data set.

        Args:
          options: of the phantom, for arms that need a special one.

        Returns:
          None where a special phantom is needed but the user gave a data set.
        """
        if self.built is not None:
            return None if options else self.built
        settings = {**self.phantom, **options}
        if MASKS not in settings:
            return self._draw(self._folder, **settings)
        kind, epochs = settings.pop(MASKS), settings.pop(STEP1_EPOCHS, None)
        unmasked = self._draw(self._folder, **settings)
        masks = predicted_masks(unmasked, folder=self._folder / STEP1, kind=kind, epochs=epochs)
        if masks.parent not in self.segmenters:
            self.segmenters.append(masks.parent)
        return self._draw(self._folder, **settings, masks=str(masks))

    def fingerprint(self, place: Path) -> str:
        """The hash of a data set's content."""
        if place not in self._fingerprints:
            self._fingerprints[place] = read_table(place).fingerprint
        return self._fingerprints[place]


def predicted_masks(
    data: Path, *, folder: Path, kind: Literal["binary", "soft"], epochs: int | None = None
) -> Path:
    """Step 1 on drawn slices: train a small segmenter on the annotated ones, predict the others.

    Args:
      data: the set that it trains on and predicts.
      folder: gets the segmenter's run and a folder of masks.
      kind: of masks.
      epochs: of the segmenter's training; None: the quickstart's.

    Raises:
      TrainingError: stopped by a signal; the same call resumes.
    """
    again = "stopped while predicting masks; give the same command again to go on"
    config = configs.load(configs.shipped_file(SEGMENTER)).segmentation
    config.data.dir = str(data)
    name = f"segmenter-{read_table(data).fingerprint[:12]}"
    if epochs is not None:
        config.epochs, name = epochs, f"{name}-epochs_{epochs}"
    workdir = folder / name
    if not train(config, workdir=workdir).finished:
        raise TrainingError(again)
    out = workdir / f"masks_{kind}"
    if not segment(workdir, data=data, out=out, kind=kind).finished:
        raise TrainingError(again)
    return out
