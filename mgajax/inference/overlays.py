"""Pictures of the report: the slice, and its overlays as PNGs of a palette with alpha."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib import colormaps
from matplotlib.colors import Colormap, to_rgb
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from scipy import ndimage

from mgajax.files import naming_file
from mgajax.inference.problems import RESEARCH_USE
from mgajax.reporting.figures.map_panels import HEAT, QUANTILE, SIGNED
from mgajax.reporting.figures.style import SURPLUS

LARGEST_SIDE = 512
"""Pixels of a picture in the report; larger slices are reduced."""

JPEG_QUALITY = 88
FILL, EDGE = 70, 255
"""Opacity of a lesion and of its outline, of 255."""


def save_slice(picture: UInt8[np.ndarray, "h w"], path: Path) -> None:
    """Save the slice itself, as JPEG."""
    image = Image.fromarray(picture)
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    with naming_file(path):
        image.save(path, format="JPEG", quality=JPEG_QUALITY, comment=RESEARCH_USE.encode())


def save_lesion(lesion: Bool[np.ndarray, "h w"], path: Path) -> None:
    """Save the lesion's outline and translucent filling."""
    levels = np.where(lesion, np.uint8(1), np.uint8(0)) + _outline(lesion)
    colours = np.tile(np.array(to_rgb(SURPLUS)), (3, 1))
    _save(_small(levels), path, colours=colours, opacity=np.array([0, FILL, EDGE]))


def save_signed(values: Float[np.ndarray, "h w"], path: Path) -> None:
    """Save an attribution: red for the explained class, blue against it, clear at 0; scaled by slice."""
    largest = max(float(np.quantile(np.abs(values), QUANTILE)), 1e-12)
    levels = np.rint(np.clip(values / largest, -1, 1) * 127 + 128).astype(np.uint8)
    opacity = 255 * np.sqrt(np.abs(np.arange(256) - 128) / 128)
    _save(_small(levels), path, colours=_colours(SIGNED), opacity=opacity)


def save_heat(values: Float[np.ndarray, "h w"], path: Path) -> None:
    """Save a map from clear at the slice's smallest value to red at its largest."""
    positive = values[values > 0]
    low, high = (float(positive.min()), float(positive.max())) if positive.size else (0.0, 1.0)
    scaled = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    levels = np.rint(scaled * 255).astype(np.uint8)
    _save(_small(levels), path, colours=_colours(HEAT), opacity=np.linspace(0, 170, 256))


def save_overlay(
    picture: UInt8[np.ndarray, "h w"], lesion: Bool[np.ndarray, "h w"], path: Path
) -> None:
    """Save the slice with its lesion's outline, at the slice's own size, for tools other than browsers.

    White becomes the grey below it, since the palette needs an entry for the outline's colour.
    """
    levels = np.where(_outline(lesion), np.uint8(255), np.minimum(picture, np.uint8(254)))
    colours = np.tile(np.arange(256)[:, None] / 255, (1, 3))
    colours[255] = to_rgb(SURPLUS)
    _save(Image.fromarray(levels), path, colours=colours, opacity=np.full(256, 255))


def _outline(lesion: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    return lesion & ~ndimage.binary_erosion(lesion)


def _small(levels: UInt8[np.ndarray, "h w"]) -> Image.Image:
    """Reduced as `save_slice` does, without mixing levels."""
    image = Image.fromarray(levels)
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.NEAREST)
    return image


def _colours(colormap: Colormap | str) -> Float[np.ndarray, "256 3"]:
    return np.asarray(colormaps.get_cmap(colormap)(np.arange(256)))[:, :3]


def _save(
    image: Image.Image, path: Path, *, colours: Float[np.ndarray, "n 3"], opacity: np.ndarray
) -> None:
    text = PngInfo()
    text.add_text("Comment", RESEARCH_USE)
    image.putpalette(np.rint(255 * colours).astype(np.uint8).tobytes())
    alpha = np.rint(opacity).astype(np.uint8).tobytes()
    with naming_file(path):
        image.save(path, format="PNG", pnginfo=text, transparency=alpha)
