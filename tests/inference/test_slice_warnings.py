"""Gross mistakes are warned of on drawn slices, and plain slices are not."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from drawn_volumes import AIR, LUNG, TISSUE, chest_slice
from PIL import Image

from mgajax.curation import names
from mgajax.imaging.body import foreground
from mgajax.imaging.windows import WINDOWS, to_8_bit
from mgajax.inference.slice_warnings import Oddity, find_oddities, is_upside_down

OPEN = (0.5, 0.7, 0.85, 1.0)


def seen(picture: np.ndarray) -> tuple[Oddity, ...]:
    return find_oddities(picture, body=foreground(picture), air=None)


def rendered(openness: float, *, window: str = "published", **options: int) -> np.ndarray:
    values, _ = chest_slice(openness=openness, side=256, **options)
    noisy = values + np.random.default_rng(1).normal(0, 15, values.shape)
    if window == "published":
        return to_8_bit(noisy, low=float(noisy.min()), high=float(noisy.max()))
    return to_8_bit(noisy, low=WINDOWS[window].low, high=WINDOWS[window].high)


@pytest.mark.parametrize("openness", OPEN)
@pytest.mark.parametrize("window", ["published", "lung"])
@pytest.mark.parametrize("padding", [-1000, -2048])
def test_plain_slices_pass(openness: float, window: str, padding: int) -> None:
    assert seen(rendered(openness, window=window, padding=padding)) == ()


@pytest.mark.parametrize("openness", OPEN)
@pytest.mark.parametrize("window", ["published", "lung"])
@pytest.mark.parametrize("turn", [np.flipud, np.rot90])
def test_upside_down_is_seen_by_the_spine(openness: float, window: str, turn) -> None:
    picture = rendered(openness, window=window)
    turned = turn(picture) if turn is np.flipud else np.rot90(picture, 2)
    upright, mirrored = (
        is_upside_down(image, body=foreground(image))
        for image in (picture, np.ascontiguousarray(turned))
    )
    assert (upright, mirrored) == (False, True)


def test_a_saturated_picture_does_not_show_which_side_is_up() -> None:
    picture = rendered(1.0)
    saturated = np.where(picture > 90, np.uint8(255), picture)
    for image in (saturated, saturated[::-1].copy()):
        assert is_upside_down(image, body=foreground(image)) is None


def test_a_mediastinal_window_is_odd() -> None:
    assert Oddity.WINDOW in seen(rendered(1.0, window="mediastinum"))


def test_no_contrast_is_odd() -> None:
    flat = 100 + rendered(1.0).astype(np.float64) / 12
    flat[:60] = 0
    assert Oddity.WINDOW in seen(flat.astype(np.uint8))


def test_what_is_no_chest() -> None:
    random = np.random.default_rng(2)
    ramp = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    values, _ = chest_slice(openness=1.0, side=256, padding=AIR)
    values[:, 128:][values[:, 128:] == LUNG] = TISSUE
    others = {
        "blank": np.full((128, 128), 7, np.uint8),
        "noise": random.integers(0, 255, (128, 128)).astype(np.uint8),
        "ramp": ramp,
        "belly": rendered(0.0),
        "apex": rendered(0.2),
        "one lung": to_8_bit(values, low=-1024.0, high=1000.0),
    }
    for name, picture in others.items():
        assert Oddity.NOT_CHEST in seen(picture), name


def test_every_warning_names_a_remedy() -> None:
    assert all(len(oddity.meaning) > 20 for oddity in Oddity)


def test_real_slices_that_are_known_to_be_upside_down(shared: Path) -> None:
    """By their names: Jun's radiopaedia volumes and all of MedSeg; all others are upright."""
    files = sorted((shared / "realdata" / "pack_dev" / "frames").glob("*.png"))
    files += sorted((shared / "realdata" / "pack_dev" / "curated_data").rglob("*.png"))
    if not files:
        pytest.skip("no slices in this pack")
    counts: Counter[tuple[bool, bool | None]] = Counter()
    for path in files:
        name = re.sub(r"^\d+_", "", path.name)
        picture = np.asarray(Image.open(path).convert("L"))
        verdict = is_upside_down(picture, body=foreground(picture))
        counts[names.is_upside_down(name), verdict] += 1
    assert counts[True, True] >= 0.9 * (counts[True, True] + counts[True, False])
    assert counts[True, True] >= 0.5 * sum(counts[True, verdict] for verdict in (True, False, None))
    assert counts[False, True] <= 0.02 * (counts[False, True] + counts[False, False])
