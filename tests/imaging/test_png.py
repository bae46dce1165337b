"""PNGs hold nothing but the pixels and what is said of them."""

import io

import numpy as np
import pytest
from PIL import Image

from mgajax.imaging.pictures import decode_picture
from mgajax.imaging.png import encode_png

GREY = np.random.default_rng(0).integers(0, 256, (12, 9), dtype=np.uint8)


@pytest.mark.parametrize("search", ["repeats", "runs"])
def test_pixels_come_back_and_nothing_else_is_kept(search) -> None:
    picture = decode_picture(encode_png(GREY, search=search), name="")
    np.testing.assert_array_equal(picture.pixels, GREY)
    assert picture.is_plain_png


def test_a_comment_is_kept() -> None:
    png = encode_png(np.stack([GREY] * 3, axis=-1), comment="for research")
    with Image.open(io.BytesIO(png)) as image:
        assert image.info["Comment"] == "for research"
        np.testing.assert_array_equal(np.asarray(image)[..., 1], GREY)
