"""Pictures of any kind, opened by content and verified, as 8-bit grey arrays.

TFDS stores image bytes unread, so this is the place where damage must come to light.
"""

import hashlib
import io
import struct
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from mgajax.imaging.reading import Source, content_of, guarded
from mgajax.imaging.windows import to_8_bit

FIX = "replace the file"
_PLAIN_CHUNKS = frozenset({b"IHDR", b"IDAT", b"IEND"})


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
      pixels: uint8 `[h, w]`.
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
    picture's minimum..maximum to 0..255, which is how the curated set's own slices were made.

    Args:
      source: bytes, or a path.
      name: for messages.
      fix: what to do where it is no picture.

    Raises:
      DataError: naming `name`, when it cannot be read or is no complete picture.
    """
    content = content_of(source, name=name)
    image = _open(content, name=name, fix=fix)
    kind, mode = image.format or "?", image.mode
    if _is_deep(mode):
        values = np.asarray(image)
        low, high = float(values.min()), float(values.max())
        return Picture(to_8_bit(values, low=low, high=high), kind=kind, mode=mode)
    if mode == "L" and "transparency" not in image.info:
        plain = kind == "PNG" and _chunks(content) <= _PLAIN_CHUNKS and _is_8_bit(content)
        return Picture(np.array(image), kind=kind, mode=mode, is_plain_png=plain)
    rgb = _on_black(image)
    channels = np.asarray(rgb)
    is_coloured = bool((channels != channels[..., :1]).any())
    return Picture(np.array(rgb.convert("L")), kind=kind, mode=mode, is_coloured=is_coloured)


def decode_mask(source: Source, *, name: str) -> UInt8[np.ndarray, "h w"]:
    """The raw values of a mask: palette indices as they are, colour as luma, 16 bits cut to 255.

    Raises:
      DataError: naming `name`, when it cannot be read or is no complete picture.
    """
    image = _open(content_of(source, name=name), name=name)
    if image.mode == "P":
        return np.array(image)
    if _is_deep(image.mode):
        return np.clip(np.asarray(image), 0, 255).astype(np.uint8)
    return np.array(_on_black(image).convert("L") if image.mode != "L" else image)


def as_png(content: bytes) -> bytes:
    """A picture that was decoded before, in its own colours, as PNG."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(content)).save(buffer, format="PNG")
    return buffer.getvalue()


def _open(content: bytes, *, name: str, fix: str = FIX) -> Image.Image:
    """A fully loaded image; `verify` also checks the checksums that `load` skips."""

    def read() -> Image.Image:
        Image.open(io.BytesIO(content)).verify()
        image = Image.open(io.BytesIO(content))
        image.load()
        return image

    failure = f"{len(content)} bytes that are no complete picture"
    return guarded(read, name=name, failure=failure, fix=fix)


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
