"""Pixels as the bytes of a PNG."""

import io
import zlib
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from PIL.PngImagePlugin import PngInfo

Search = Literal["repeats", "runs"]
"""What zlib looks for: all that repeats, or runs of equal bytes alone.

CT noise holds no longer repeats: looking for runs alone makes its files 3 % smaller, and writes them in
a fifth of the time (measured on slices of COVID-CT-MD)."""


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
