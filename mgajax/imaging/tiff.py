"""Slices stored as TIFF."""

import io

import numpy as np
import tifffile
from jaxtyping import Num

from mgajax.errors import DataError
from mgajax.imaging.reading import Source, content_of, guard

FAILURE, FIX = "no complete TIFF", "download it again"


def read_stored(source: Source, *, name: str) -> Num[np.ndarray, "h w"]:
    """The values of one grey slice as they are stored.

    Raises:
      DataError: the file cannot be read, is damaged, or holds other than one grey slice of finite
        values.
    """
    content = content_of(source, name=name)
    stored = guard(
        lambda: tifffile.imread(io.BytesIO(content)), name=name, failure=FAILURE, fix=FIX
    )
    if stored.ndim != 2 or not stored.size or not np.isfinite(stored).all():
        raise DataError(
            f"{name}: {stored.dtype} pixels of shape {stored.shape}, expected one slice "
            f"[h, w] of finite values; {FIX}"
        )
    return stored
