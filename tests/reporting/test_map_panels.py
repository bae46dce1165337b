"""Pictures of explanations: content, options, and the same bytes each time."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mgajax.reporting.figures.map_panels import (
    attribution_panel,
    score_bars,
)
from mgajax.reporting.html.explanation_page import explanation_page


def drawn(tmp_path: Path, name: str, *, look: str, sign: float = 1.0) -> Path:
    """Two slices; a signed map that is positive at the left, and heat."""
    images = np.full((2, 16, 16), 90, np.uint8)
    signed = np.zeros((2, 16, 16), np.float32)
    signed[:, :, :8], signed[:, :, 8:] = sign, -sign
    masks = np.zeros((2, 16, 16), np.uint8)
    masks[0, 4:9, 4:9] = 255
    maps = {"signed": signed, "heat": np.abs(signed) * np.arange(16, dtype=np.float32)[None, None]}
    return attribution_panel(
        images,
        maps,
        path=tmp_path / name,
        masks=masks,
        captions=["one", "two"],
        look=look,
        title="A panel",
    )


@pytest.mark.parametrize("look", ["map", "overlay"])
def test_the_same_picture_twice(tmp_path: Path, look: str) -> None:
    first = drawn(tmp_path, "first.png", look=look)
    assert first.read_bytes() == drawn(tmp_path, "second.png", look=look).read_bytes()
    with Image.open(first) as picture:
        assert picture.height > 500


def test_red_speaks_for_and_blue_against(tmp_path: Path) -> None:
    """Turning the sign exchanges red and blue in equal measure."""
    counts = []
    for sign in (1.0, -1.0):
        path = drawn(tmp_path, "map.png", look="map", sign=sign)
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB")).astype(int)
        middle = pixels[pixels.shape[0] // 3 : 2 * pixels.shape[0] // 3, : pixels.shape[1] // 3]
        dark = np.abs(middle[..., 0] - middle[..., 2]) > 60
        half = middle.shape[1] // 2
        left = (middle[..., 0] > middle[..., 2])[:, :half][dark[:, :half]]
        counts.append(left.mean())
    assert counts[0] > 0.9
    assert counts[1] < 0.1


def test_flat_maps_and_missing_scores_do_not_break_it(tmp_path: Path) -> None:
    images = np.zeros((1, 8, 8), np.uint8)
    attribution_panel(images, {"flat": np.zeros((1, 8, 8))}, path=tmp_path / "flat.png")
    score = {"mean": 0.7, "low": 0.6, "high": 0.8}
    none = {"mean": None, "low": None, "high": None}
    path = score_bars(
        {"a": score, "b": none, "c": score | {"low": None}},
        path=tmp_path / "bars.png",
        chance=0.5,
        label="score",
    )
    method = {
        "seconds_per_slice": 0.1,
        "includes_compilation": False,
        "largest_relative_gap": None,
    }
    report = {
        "scores": {"m/d/positive": {"rank_auc": score, "pointing_hit": none}},
        "methods": {"m/d": method},
    }
    page = explanation_page([path], title="a < b", report=report)
    assert "a &lt; b" in page
    assert re.search(r"0\.700 <span[^>]*>\[0\.600, 0\.800\]", page)
    assert "<script" not in page
