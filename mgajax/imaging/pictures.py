"""Pictures of any kind, opened by content and verified, as 8-bit grey arrays; pixels as a PNG.

TFDS stores image bytes unread, so damage must be found here.
"""

import hashlib
import io
import struct
import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from mgajax.imaging.geometry import AS_IT_IS, View
from mgajax.imaging.reading import Source, content_of, guard
from mgajax.imaging.windows import to_8_bit

FIX = "replace the file"

EXIF_VIEWS = {
    2: View(steps=(1, -1)),
    3: View(steps=(-1, -1)),
    4: View(steps=(-1, 1)),
    5: View(axes=(1, 0)),
    6: View(axes=(1, 0), steps=(1, -1)),
    7: View(axes=(1, 0), steps=(-1, -1)),
    8: View(axes=(1, 0), steps=(-1, 1)),
}
"""The view that shows a picture upright, by its EXIF orientation."""

_PLAIN_CHUNKS = frozenset({b"IHDR", b"IDAT", b"IEND"})

Search = Literal["repeats", "runs"]
"""What zlib compresses: all that repeats, or runs of equal bytes alone.

CT noise has no longer repeats: with runs alone its files are 3 % smaller, and written in a fifth of the
time (measured on slices of COVID-CT-MD)."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
      pixels: uint8 `[h, w]`.
      view: from the file's own grid of pixels to `pixels`, by its EXIF orientation.
      kind: the format inside, e.g. "PNG", "JPEG".
      mode: Pillow's mode of the file, e.g. "L", "RGBA".
      is_coloured: whether any pixel had unequal colour channels.
      is_plain_png: whether the file is an 8-bit grey PNG of nothing but pixels, so that its bytes
        can be stored unchanged.
    """

    pixels: UInt8[np.ndarray, "h w"]
    kind: str
    mode: str
    is_coloured: bool
    is_plain_png: bool
    view: View

    @property
    def is_more_than_8_bit(self) -> bool:
        """Whether the file held integers or floats of more than 8 bits."""
        return _is_deep(self.mode)

    def digest(self) -> str:
        """A hash of size and pixels: equal for equal pictures, however their files are encoded."""
        shape = struct.pack(">II", *self.pixels.shape)
        return hashlib.sha256(shape + self.pixels.tobytes()).hexdigest()


def decode_picture(source: Source, *, name: str, fix: str = FIX) -> Picture:
    """Open by content, verify and decode fully, and convert to 8-bit grey.

    Colour becomes luma, (299 R + 587 G + 114 B) / 1000 (ITU-R 601), which leaves grey pixels
    unchanged; transparent pixels are laid on black; more than 8 bits are stretched from the
    picture's minimum..maximum to 0..255, as the curated set's own slices were made. The EXIF
    orientation is applied, as viewers do.

    Args:
      source: bytes, or a path.
      name: for messages.
      fix: what the user should do where it is no picture.

    Raises:
      DataError: naming `name`, when it cannot be read or is no complete picture.
    """
    content = content_of(source, name=name)
    image, view = _open(content, name=name, fix=fix)
    kind, mode = image.format or "?", image.mode
    is_coloured = is_plain = False
    if _is_deep(mode):
        values = np.asarray(image)
        stored = to_8_bit(values, low=float(values.min()), high=float(values.max()))
    elif mode == "L" and "transparency" not in image.info:
        stored = np.array(image)
        is_plain = kind == "PNG" and _chunks(content) <= _PLAIN_CHUNKS and _is_8_bit(content)
    else:
        rgb = _on_black(image)
        channels = np.asarray(rgb)
        is_coloured = bool((channels != channels[..., :1]).any())
        stored = np.array(rgb.convert("L"))
    return Picture(_exif_view(image).show(stored), kind, mode, is_coloured, is_plain, view)


def decode_mask(source: Source, *, name: str) -> UInt8[np.ndarray, "h w"]:
    """The raw values of a mask: palette indices unchanged, colour as luma, 16 bits clipped to 255;
    the EXIF orientation is applied.

    Raises:
      DataError: naming `name`, when it cannot be read or is no complete picture.
    """
    image, _ = _open(content_of(source, name=name), name=name)
    if image.mode == "P":
        stored = np.array(image)
    elif _is_deep(image.mode):
        stored = np.clip(np.asarray(image), 0, 255).astype(np.uint8)
    else:
        stored = np.array(_on_black(image).convert("L") if image.mode != "L" else image)
    return _exif_view(image).show(stored)


def as_png(content: bytes) -> bytes:
    """A valid picture file as PNG, in its own colours and upright."""
    buffer = io.BytesIO()
    ImageOps.exif_transpose(Image.open(io.BytesIO(content))).save(buffer, format="PNG")
    return buffer.getvalue()


def encode_png(
    pixels: UInt8[np.ndarray, "h w *c"], *, search: Search = "repeats", comment: str = ""
) -> bytes:
    """An 8-bit PNG, grey or in colours, of nothing but `pixels` and the comment."""
    buffer, text = io.BytesIO(), PngInfo()
    if comment:
        text.add_text("Comment", comment)
    Image.fromarray(np.ascontiguousarray(pixels)).save(
        buffer, format="PNG", pnginfo=text, compress_type=zlib.Z_RLE if search == "runs" else -1
    )
    return buffer.getvalue()


def _open(content: bytes, *, name: str, fix: str = FIX) -> tuple[Image.Image, View]:
    """A fully loaded image, and the view that shows its file's pixels upright.

    `verify` also checks the checksums that `load` skips. Loading turns a TIFF, and no other kind.
    """

    def read() -> tuple[Image.Image, View]:
        Image.open(io.BytesIO(content)).verify()
        image = Image.open(io.BytesIO(content))
        view = _exif_view(image)
        image.load()
        return image, view

    failure = f"{len(content)} bytes that are no complete picture"
    return guard(read, name=name, failure=failure, fix=fix)


def _exif_view(image: Image.Image) -> View:
    """The view by the image's present EXIF orientation; `AS_IT_IS` where that is not valid."""
    try:
        return EXIF_VIEWS.get(image.getexif().get(ExifTags.Base.Orientation, 1), AS_IT_IS)
    except Exception:  # Pillow documents no error for damaged EXIF
        return AS_IT_IS


def _is_deep(mode: str) -> bool:
    return mode in ("I", "F") or mode.startswith("I;16")


def _on_black(image: Image.Image) -> Image.Image:
    if "A" not in image.getbands() and "transparency" not in image.info:
        return image.convert("RGB")
    layered = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layered.size, (0, 0, 0, 255)), layered).convert(
        "RGB"
    )


def _chunks(content: bytes) -> set[bytes]:
    """The chunk types of a PNG that has been verified."""
    types, offset = set(), 8
    while offset + 8 <= len(content):
        (length,) = struct.unpack_from(">I", content, offset)
        types.add(content[offset + 4 : offset + 8])
        offset += 12 + length
    return types


def _is_8_bit(content: bytes) -> bool:
    return content[24] == 8
