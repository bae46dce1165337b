"""PNG and JPEG slices: the pictures of one folder are one scan."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from mgajax.errors import DataError
from mgajax.files import naming_file
from mgajax.imaging.geometry import View
from mgajax.imaging.pictures import decode_picture, encode_png
from mgajax.inference.mask_folder import mask_names
from mgajax.inference.problems import RESEARCH_USE, Problems
from mgajax.inference.scans import Plane, ScanKind, WriteMask


@dataclass(frozen=True)
class PictureScan:
    """Pictures of one patient, in their given order."""

    name: str
    patient: str
    source: Path
    paths: tuple[Path, ...]
    view: View
    kind: ScanKind = "pictures"

    def __len__(self) -> int:
        return len(self.paths)

    def planes(self, problems: Problems) -> Iterator[Plane]:
        """See `Scan`."""
        for index, path in enumerate(self.paths):
            try:
                picture = decode_picture(path, name=str(path))
            except DataError as error:
                problems.note(str(error))
            else:
                pixels = self.view.show(picture.pixels)
                yield Plane(
                    index,
                    path.name,
                    path,
                    pixels,
                    "grey",
                    is_coloured=picture.is_coloured,
                    exif_view=picture.view,
                )

    @contextmanager
    def masks(self, folder: Path, problems: Problems) -> Iterator[WriteMask]:
        """`masks/NAME.png` in each file's own grid of pixels: 255 lesion, 0 other."""
        names = _mask_names(self.paths)
        (folder / "masks").mkdir()

        def write(plane: Plane, lesion: Bool[np.ndarray, "h w"]) -> None:
            pixels = plane.exif_view.store(self.view.store(lesion)).astype(np.uint8) * np.uint8(255)
            png = encode_png(pixels, comment=RESEARCH_USE)
            path = folder / "masks" / f"{names[plane.index]}.png"
            with naming_file(path):
                path.write_bytes(png)

        yield write


def _mask_names(paths: Sequence[Path]) -> list[str]:
    """File names without suffix, or with it (`a_png`) where two pictures would share a mask."""
    try:
        return mask_names([path.name for path in paths])
    except DataError:
        return [f"{path.name.replace('.', '_')}_{number}" for number, path in enumerate(paths, 1)]
