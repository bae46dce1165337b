"""The body in drawn and real renderings."""

import numpy as np
import pytest
from drawn_slices import RENDERINGS, draw
from PIL import Image

from mgajax.imaging.body import _fill, _margin, foreground, otsu


def overlap(predicted: np.ndarray, true: np.ndarray) -> float:
    return (predicted & true).sum() / (predicted | true).sum()


@pytest.mark.parametrize("size", [120, 256, 512, 700])
@pytest.mark.parametrize("rendering", RENDERINGS)
def test_foreground_is_the_body_with_its_lungs(rendering: str, size: int) -> None:
    drawn = draw(size, rendering=rendering)
    body = foreground(drawn["image"])
    assert body is not None
    assert body.shape == drawn["image"].shape
    assert overlap(body, drawn["body"]) > 0.93
    assert body[drawn["lungs"]].mean() > 0.99


def test_foreground_ignores_the_frames_shape() -> None:
    """630 x 401, as some of the radiopaedia slices."""
    drawn = {name: picture[60:461] for name, picture in draw(630).items()}
    body = foreground(drawn["image"])
    assert body is not None
    assert overlap(body, drawn["body"]) > 0.93


def test_otsu_splits_two_levels() -> None:
    image = np.array([[0, 0, 0, 50], [50, 60, 200, 210]], np.uint8)
    assert 60 <= otsu(image, zeros="ignored") < 200
    assert 0 <= otsu(np.where(image < 100, 0, image).astype(np.uint8), zeros="counted") < 200


def test_otsu_leaves_out_padding_however_much_there_is() -> None:
    image = np.repeat(np.array([0, 100, 200], np.uint8), (1000, 50, 50))
    assert 100 <= otsu(image, zeros="ignored") < 200
    assert otsu(image, zeros="counted") < 100


def test_a_margin_ends_where_lines_are_no_longer_even() -> None:
    lines = np.full(40, 0.5)
    lines[[0, 1, 4]] = 1.0  # two lines of paper; the fifth lies within the body
    assert _margin(lines) == 3
    lines[2] = 0.0
    assert _margin(lines) == 3


@pytest.mark.parametrize("place", [(0, 0), (0, -3), (-3, 0), (-3, -3), (0, 5), (5, 5)])
def test_only_the_dark_of_a_corner_is_outside(place: tuple[int, int]) -> None:
    tissue = np.ones((12, 12), bool)
    rows, columns = (slice(start, start + 3 if start != -3 else None) for start in place)
    tissue[rows, columns] = False
    outside = place in ((0, 0), (0, -3), (-3, 0), (-3, -3))
    np.testing.assert_array_equal(_fill(tissue), tissue if outside else np.ones_like(tissue))


def test_real_renderings(shared) -> None:
    """On real slices of all archives a body is found, smaller than the frame where air surrounds it."""
    folder = shared / "realdata" / "pack_dev" / "curated_data"
    shares = {}
    for path in sorted(folder.rglob("*.png")):
        image = np.asarray(Image.open(path).convert("L"))
        body = foreground(image)
        assert body is not None, path.name
        shares[path.name] = body.mean()
    assert len(shares) > 100
    framed = [
        share
        for name, share in shares.items()
        if name.startswith(("6_", "14_", "16_", "P", "N", "cp"))
    ]
    assert min(framed) > 0.2
    assert max(framed) < 0.97
    assert np.median(framed) < 0.7
