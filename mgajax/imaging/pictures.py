"""Pictures of any kind, opened by content and verified, as 8-bit grey arrays.

TFDS stores image bytes unread, so this is the place where damage must come to light.
"""

import hashlib
import io
import struct
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageOps

from mgajax.imaging.geometry import AS_IT_IS, View
from mgajax.imaging.reading import Source, content_of, guarded
from mgajax.imaging.windows import to_8_bit

FIX = "replace the file"

TURNED = {
    2: View(steps=(1, -1)),
    3: View(steps=(-1, -1)),
    4: View(steps=(-1, 1)),
    5: View(axes=(1, 0)),
    6: View(axes=(1, 0), steps=(1, -1)),
    7: View(axes=(1, 0), steps=(-1, -1)),
    8: View(axes=(1, 0), steps=(-1, 1)),
}
"""What shows a picture upright, by its EXIF orientation."""

_PLAIN_CHUNKS = frozenset({b"IHDR", b"IDAT", b"IEND"})


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
      pixels: uint8 `[h, w]`.
      view: from the file's own grid of pixels to `pixels`, as its EXIF orientation demands.
      kind: the format inside, e.g. "PNG", "JPEG".
      mode: Pillow's mode of the file, e.g. "L", "RGBA".
      is_coloured: whether any pixel had unequal colour channels.
      is_plain_png: whether the file's own bytes are an 8-bit grey PNG of nothing but pixels, so
        that they can be stored as they are.
    """

    pixels: UInt8[np.ndarray, "h w"]
    kind: str
    mode: str
    is_coloured: bool = False
    is_plain_png: bool = False
    view: View = AS_IT_IS

    @property
    def is_more_than_8_bit(self) -> bool:
        """Whether the file held integers or floats of more than 8 bits."""
        return _is_deep(self.mode)

    def digest(self) -> str:
        """A hash of size and pixels: equal for equal pictures, whatever their files look like."""
        shape = struct.pack(">II", *self.pixels.shape)
        return hashlib.sha256(shape + self.pixels.tobytes()).hexdigest()


def decode_picture(source: Source, *, name: str, fix: str = FIX) -> Picture:
    """Open by content, verify and decode fully, and turn to 8-bit grey.

    Colour becomes luma, (299 R + 587 G + 114 B) / 1000 (ITU-R 601), which leaves grey pixels as
    they are; transparent pixels are laid on black; more than 8 bits are stretched from the
    picture's minimum..maximum to 0..255, which is how the curated set's own slices were made. It is
    turned as its EXIF orientation says, as viewers do.

    Args:
      source: bytes, or a path.
      name: for messages.
      fix: what to do where it is no picture.

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
    return Picture(_turn(image).show(stored), kind, mode, is_coloured, is_plain, view)


def decode_mask(source: Source, *, name: str) -> UInt8[np.ndarray, "h w"]:
    """The raw values of a mask: palette indices as they are, colour as luma, 16 bits cut to 255,
    turned as its EXIF orientation says.

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
    return _turn(image).show(stored)


def as_png(content: bytes) -> bytes:
    """A picture that was decoded before, in its own colours and upright, as PNG."""
    buffer = io.BytesIO()
    ImageOps.exif_transpose(Image.open(io.BytesIO(content))).save(buffer, format="PNG")
    return buffer.getvalue()


def _open(content: bytes, *, name: str, fix: str = FIX) -> tuple[Image.Image, View]:
    """A fully loaded image, and what turns its file's pixels upright.

    `verify` also checks the checksums that `load` skips. Loading turns a TIFF, and no other kind.
    """

    def read() -> tuple[Image.Image, View]:
        Image.open(io.BytesIO(content)).verify()
        image = Image.open(io.BytesIO(content))
        view = _turn(image)
        image.load()
        return image, view

    failure = f"{len(content)} bytes that are no complete picture"
    return guarded(read, name=name, failure=failure, fix=fix)


def _turn(image: Image.Image) -> View:
    """What still turns a picture as its EXIF orientation says; none where that is not valid."""
    try:
        return TURNED.get(image.getexif().get(ExifTags.Base.Orientation, 1), AS_IT_IS)
    except Exception:  # Pillow documents no error for EXIF that is damaged
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
    found, at = set(), 8
    while at + 8 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        found.add(content[at + 4 : at + 8])
        at += 12 + length
    return found


def _is_8_bit(content: bytes) -> bool:
    return content[24] == 8
