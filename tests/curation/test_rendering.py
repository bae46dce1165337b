"""The published stretch, windows, and turning slices upright."""

import io

import numpy as np
import pytest
from PIL import Image

from mgajax.curation.archives.archive import RawSlice
from mgajax.curation.rendering import render
from mgajax.imaging.pictures import decode_picture
from mgajax.imaging.windows import WINDOWS


def raw(values: np.ndarray, **attributes: object) -> RawSlice:
    common = {"source": "jun", "label": 1, "file_name": "a.png", "patient_id": "1", "origin": "a"}
    common |= {"slice_index": 1, "unit": "HU"} | attributes
    return RawSlice(values=values, **common)


def pixels(png: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(png)))


RAMP = np.array([[-1024, -600, 0], [150, 1000, 3071]], np.int32)


def test_sixteen_bit_pictures_get_the_published_stretch() -> None:
    """The rule by which the package turns 16-bit pictures to 8 bits, and the published one."""
    rendering = render(raw(RAMP), window=None, orientation="published")
    buffer = io.BytesIO()
    Image.fromarray((RAMP + 1024).astype(np.uint16)).save(buffer, format="PNG")
    expected = decode_picture(buffer.getvalue(), name="").pixels
    np.testing.assert_array_equal(pixels(rendering.png), expected)
    assert (rendering.rendering, rendering.low, rendering.high) == ("min-max", -1024, 3071)


def test_window_clips_and_spreads() -> None:
    rendering = render(raw(RAMP), window=WINDOWS["lung"], orientation="published")
    assert pixels(rendering.png).tolist() == [[55, 128, 230], [255, 255, 255]]
    assert (rendering.rendering, rendering.low, rendering.high) == ("-600/1500", -1350, 150)


def test_flat_slice_is_black() -> None:
    flat = np.full((2, 2), 7, np.int16)
    assert pixels(render(raw(flat), window=None, orientation="published").png).max() == 0


def test_windows_do_not_apply_to_grey_levels() -> None:
    grey = np.array([[10, 20], [30, 40]], np.uint8)
    rendering = render(raw(grey, unit="grey"), window=WINDOWS["lung"], orientation="published")
    assert pixels(rendering.png).tolist() == [[0, 85], [170, 255]]
    assert rendering.rendering == "min-max"


def test_pictures_of_the_source_stay_as_they_are() -> None:
    rendering = render(
        raw(RAMP, unit="grey", published=b"bytes"), window=None, orientation="upright"
    )
    assert (rendering.png, rendering.rendering) == (b"bytes", "as published")


@pytest.mark.parametrize("orientation", ["published", "upright"])
def test_upright_flips_picture_and_mask(orientation: str) -> None:
    mask = np.array([[255, 0, 0], [0, 0, 0]], np.uint8)
    turned = raw(RAMP, mask=mask, upright_turn="flip_vertical")
    plain = render(raw(RAMP, mask=mask), window=None, orientation=orientation)
    rendering = render(turned, window=None, orientation=orientation)
    assert rendering.is_flipped == (orientation == "upright")
    assert rendering.mask_png is not None
    assert plain.mask_png is not None
    step = -1 if orientation == "upright" else 1
    np.testing.assert_array_equal(pixels(rendering.png)[::step], pixels(plain.png))
    np.testing.assert_array_equal(pixels(rendering.mask_png)[::step], mask)
    np.testing.assert_array_equal(pixels(plain.mask_png), mask)


def test_files_are_plain_grey_pngs() -> None:
    rendering = render(raw(RAMP), window=None, orientation="published")
    assert decode_picture(rendering.png, name="").is_plain_png
