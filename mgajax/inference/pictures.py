"""PNG and JPEG slices: the pictures of one folder are one scan."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mgajax.errors import DataError
from mgajax.imaging.geometry import View
from mgajax.imaging.pictures import decode_picture
from mgajax.inference.mask_folder import mask_names
from mgajax.inference.problems import RESEARCH_USE, Problems
from mgajax.inference.scans import Kind, Plane, Write


@dataclass(frozen=True)
class PictureScan:
    """Pictures of one patient, in the order given."""

    name: str
    patient: str
    paths: tuple[Path, ...]
    view: View
    kind: Kind = "pictures"
    voxel_ml: float | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def planes(self, problems: Problems) -> Iterator[Plane]:
        """See `Scan`."""
        for index, path in enumerate(self.paths):
            try:
                picture = decode_picture(path.read_bytes(), name=str(path))
            except OSError as error:
                problems.note(f"{path}: cannot be read ({error.strerror})")
            except DataError as error:
                problems.note(str(error))
            else:
                shown = self.view.show(picture.pixels)
                yield Plane(index, path.name, shown, "grey", coloured=picture.is_coloured)

    @contextmanager
    def masks(self, folder: Path, problems: Problems) -> Iterator[Write]:
        """`masks/NAME.png` of each picture's own size: 255 lesion, 0 other."""
        names = _mask_names(self.paths)
        (folder / "masks").mkdir()

        def write(plane: Plane, lesion: Bool[np.ndarray, "h w"]) -> None:
            pixels = self.view.store(lesion).astype(np.uint8) * np.uint8(255)
            save_png(pixels, folder / "masks" / f"{names[plane.index]}.png")

        yield write


def _mask_names(paths: Sequence[Path]) -> list[str]:
    """File names without suffix, or with it (`a_png`) where two pictures would share a mask."""
    try:
        return mask_names([path.name for path in paths])
    except DataError:
        return [f"{path.name.replace('.', '_')}_{place}" for place, path in enumerate(paths, 1)]


def save_png(pixels: UInt8[np.ndarray, "h w *c"], path: Path) -> None:
    """Write a PNG that says what it is for."""
    text = PngInfo()
    text.add_text("Comment", RESEARCH_USE)
    Image.fromarray(pixels).save(path, format="PNG", pnginfo=text)
