"""Pictures to explain are read as everywhere else."""

from pathlib import Path

import numpy as np
import pytest
from drawn_slices import draw
from PIL import Image

from mgajax.data.preparation import Preparation
from mgajax.errors import DataError
from mgajax.explanation.slices import slices_of_files

SMALL = Preparation(image_size=64)


def test_sixteen_bits_are_stretched_and_not_white(tmp_path: Path) -> None:
    grey = draw(128)["image"]
    grey[0, 0], grey[0, 1] = 0, 255
    deep = grey.astype(np.uint16) * 13 + 1000
    for name, pixels in (("grey.png", grey), ("deep.png", deep)):
        Image.fromarray(pixels).save(tmp_path / name)
    slices = slices_of_files([tmp_path / "grey.png", tmp_path / "deep.png"], settings=SMALL)
    np.testing.assert_array_equal(slices.pixels[0], slices.pixels[1])
    assert slices.pixels[0].std() > 20


def test_files_that_are_no_pictures_are_named(tmp_path: Path) -> None:
    (tmp_path / "page.png").write_text("<html>")
    with pytest.raises(DataError, match=r"--images .*page\.png: 6 bytes that are no complete"):
        slices_of_files([tmp_path / "page.png"], settings=SMALL)
    with pytest.raises(DataError, match=r"--images .*absent\.png: cannot be read"):
        slices_of_files([tmp_path / "absent.png"], settings=SMALL)
