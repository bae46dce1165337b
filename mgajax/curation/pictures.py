"""Pictures of any kind, opened by content and verified, as 8-bit grey arrays.

TFDS stores image bytes unread, so this is the place where damage must come to light.
"""

import hashlib
import io
import struct
import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int64, UInt8
from PIL import Image

from mgajax.errors import DataError

MAX_LABEL = 10
"""A mask whose largest value is in 2..MAX_LABEL holds class labels, not grey levels."""

LESION_LABELS: dict[str, tuple[int, ...]] = {"medseg": (1, 2), "jun": (3,)}
"""Which labels of a multi-class mask are lesion. MedSeg: 1 ground glass, 2 consolidation (3,
pleural effusion, lies outside the lung and is left out, as Inf-Net's masks do). Jun's combined
file: 3 infection (1 and 2 are the lungs). Elsewhere every label but 0 is lesion."""

LARGEST_LABEL: dict[str, int] = {"medseg": 3, "jun": 3}
"""The largest class label that a source's masks hold. Elsewhere it is not known."""

WHITE = 224
MID_GREYS = range(32, WHITE)
"""Grey levels that are neither black nor white, even in a lossy copy of a black and white mask."""

MAX_MID_GREY = 0.01
"""Share of a mask that its edges may blur to mid grey without more ado (see `is_black_and_white`)."""

MaskEncoding = Literal["binary", "grey", "labels"]

_PLAIN_CHUNKS = frozenset({b"IHDR", b"IDAT", b"IEND"})
_DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)


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


def decode_picture(content: bytes, *, name: str) -> Picture:
    """Open by content, verify and decode fully, and turn to 8-bit grey.

    Colour becomes luma, (299 R + 587 G + 114 B) / 1000 (ITU-R 601), which leaves grey pixels as
    they are; transparent pixels are laid on black; more than 8 bits are stretched from the
    picture's minimum..maximum to 0..255, which is how the curated set's own slices were made.

    Raises:
      DataError: naming `name`, when the bytes are no complete picture.
    """
    image = _open(content, name=name)
    kind, mode = image.format or "?", image.mode
    if _is_deep(mode):
        return Picture(_stretch(np.asarray(image)), kind=kind, mode=mode)
    if mode == "L" and "transparency" not in image.info:
        plain = kind == "PNG" and _chunks(content) <= _PLAIN_CHUNKS and _is_8_bit(content)
        return Picture(np.array(image), kind=kind, mode=mode, is_plain_png=plain)
    rgb = _on_black(image)
    channels = np.asarray(rgb)
    is_coloured = bool((channels != channels[..., :1]).any())
    return Picture(np.array(rgb.convert("L")), kind=kind, mode=mode, is_coloured=is_coloured)


def decode_mask(content: bytes, *, name: str) -> UInt8[np.ndarray, "h w"]:
    """The raw values of a mask: palette indices as they are, colour as luma, 16 bits cut to 255.

    Raises:
      DataError: naming `name`, when the bytes are no complete picture.
    """
    image = _open(content, name=name)
    if image.mode == "P":
        return np.array(image)
    if _is_deep(image.mode):
        return np.clip(np.asarray(image), 0, 255).astype(np.uint8)
    return np.array(_on_black(image).convert("L") if image.mode != "L" else image)


def mask_encoding(largest_values: list[int]) -> MaskEncoding:
    """How the masks of one source code lesions, by the largest value in each of them.

    All at most 1: binary. Any above `MAX_LABEL`: grey levels. Otherwise: class labels. The rule
    looks at all masks of a source, since a single multi-class mask may happen to hold 0 and 1 only.
    """
    largest = max(largest_values, default=0)
    if largest <= 1:
        return "binary"
    return "grey" if largest > MAX_LABEL else "labels"


def is_black_and_white(histogram: Int64[np.ndarray, "256"]) -> bool:
    """Whether a mask of grey levels holds black and white, but for blurred edges.

    It does not where mid grey covers more than `MAX_MID_GREY` of it and more than white does: that
    is a photograph, or class codes written as shades of grey, and no threshold would be right.
    """
    mid = int(histogram[MID_GREYS.start : MID_GREYS.stop].sum())
    return mid <= max(MAX_MID_GREY * int(histogram.sum()), int(histogram[WHITE:].sum()))


def fits_encoding(largest: int, *, encoding: MaskEncoding, source: str) -> bool:
    """Whether a mask's largest value is one that masks of this coding hold.

    Among grey masks 2..`MAX_LABEL` is none: such a mask of labels would be empty when cut at 127.
    Among labels it is at most `LARGEST_LABEL`.
    """
    if encoding == "grey":
        return largest <= 1 or largest > MAX_LABEL
    return largest <= LARGEST_LABEL.get(source, MAX_LABEL)


def binary_mask(
    values: UInt8[np.ndarray, "h w"], *, encoding: MaskEncoding, source: str
) -> UInt8[np.ndarray, "h w"]:
    """Lesion as 255, the rest as 0.

    Grey masks are cut above 127 (lossy copies blur their edges); a 0/1 mask among grey ones is
    taken as 0/1. Labels follow `LESION_LABELS`.
    """
    if encoding == "labels" and source in LESION_LABELS:
        lesion = np.isin(values, LESION_LABELS[source])
    elif encoding == "grey" and values.max(initial=0) > 1:
        lesion = values > 127
    else:
        lesion = values > 0
    return np.where(lesion, np.uint8(255), np.uint8(0))


def _open(content: bytes, *, name: str) -> Image.Image:
    """A fully loaded image; `verify` also checks the checksums that `load` skips."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.open(io.BytesIO(content)).verify()
            image = Image.open(io.BytesIO(content))
            image.load()
    except _DECODE_ERRORS as error:
        raise DataError(
            f"{name}: {len(content)} bytes that are no complete picture ({error}); replace the file"
        ) from error
    return image


def _is_deep(mode: str) -> bool:
    return mode in ("I", "F") or mode.startswith("I;16")


def _on_black(image: Image.Image) -> Image.Image:
    if "A" not in image.getbands() and "transparency" not in image.info:
        return image.convert("RGB")
    layered = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layered.size, (0, 0, 0, 255)), layered).convert(
        "RGB"
    )


def _stretch(values: np.ndarray) -> UInt8[np.ndarray, "h w"]:
    values = values.astype(np.float64)
    low, high = values.min(), values.max()
    return np.rint((values - low) * (255.0 / max(high - low, 1e-12))).astype(np.uint8)


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
