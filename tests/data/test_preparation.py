"""Background removal, crop, normalisation and resize on drawn and real renderings."""

import dataclasses

import numpy as np
import pytest
from drawn_slices import draw

from mgajax.data.preparation import (
    Preparation,
    placement,
    prepare,
)
from mgajax.errors import ConfigError, DataError


@pytest.mark.parametrize("level", [0, 130, 255])
def test_blank_slice_is_kept_whole_and_flagged(level: int) -> None:
    image = np.full((40, 50), level, np.uint8)
    prepared = prepare(image, np.zeros_like(image), settings=Preparation(image_size=32))
    assert prepared.flags == ("blank",)
    assert prepared.box == (0, 0, 40, 50)
    assert set(np.unique(prepared.image)) <= {0, level}


def test_slice_without_a_body_is_kept_whole_and_flagged() -> None:
    image = np.zeros((128, 128), np.uint8)
    image[60:64, 60:64] = 200
    prepared = prepare(image, image, settings=Preparation(image_size=64))
    assert prepared.flags == ("whole",)
    assert prepared.box == (0, 0, 128, 128)
    assert prepared.image.max() > 100


def test_one_pixel() -> None:
    image = np.array([[7]], np.uint8)
    prepared = prepare(image, image, settings=Preparation(image_size=8))
    assert prepared.flags == ("blank",)


def test_background_is_zero_and_the_box_fits() -> None:
    drawn = draw(512, rendering="table")
    settings = Preparation(image_size=512, crop="none")
    prepared = prepare(drawn["image"], drawn["mask"], settings=settings)
    outside = ~drawn["body"]
    assert (prepared.image[outside] == 0).mean() > 0.98
    rows, columns = (np.flatnonzero(drawn["body"].any(axis=axis)) for axis in (1, 0))
    box = prepare(drawn["image"], drawn["mask"], settings=Preparation(margin=0.0)).box
    edges = (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)
    assert np.abs(np.subtract(box, edges)).max() <= 6


def test_kept_background_and_levels_are_the_slice_itself() -> None:
    drawn = draw(256)
    settings = Preparation(image_size=256, background="keep", crop="none", normalise="none")
    prepared = prepare(drawn["image"], drawn["mask"], settings=settings)
    np.testing.assert_array_equal(prepared.image, drawn["image"])
    np.testing.assert_array_equal(prepared.mask, drawn["mask"])


def test_normalisation_undoes_the_rendering() -> None:
    """The same anatomy, dark and stretched: nearly the same picture afterwards."""
    drawn = draw(256)
    dark = (drawn["image"] * 0.3 + 12).astype(np.uint8)
    bright, faint = (
        prepare(image, drawn["mask"], settings=Preparation()).image.astype(int)
        for image in (drawn["image"], dark)
    )
    assert np.abs(bright - faint).mean() < 3
    assert np.percentile(faint[faint > 0], 99) > 240


def test_outliers_do_not_set_the_scale() -> None:
    drawn = draw(256)
    marked = drawn["image"].copy()
    marked[120:124, 120:124] = 255  # burnt-in, inside the body
    clean, spotted = (
        prepare(image, drawn["mask"], settings=Preparation()).image.astype(int)
        for image in (drawn["image"], marked)
    )
    assert np.abs(clean - spotted).mean() < 1


def test_anatomy_keeps_its_proportions() -> None:
    drawn = draw(400)
    prepared = prepare(drawn["image"], drawn["mask"], settings=Preparation(margin=0.0))
    rows, columns = (np.flatnonzero(prepared.image.any(axis=axis)) for axis in (1, 0))
    assert len(columns) == 224
    assert len(rows) / len(columns) == pytest.approx(0.3 / 0.42, abs=0.02)
    filled = prepare(
        drawn["image"], drawn["mask"], settings=Preparation(margin=0.0, aspect="stretch")
    )
    assert filled.image.any(axis=1).all()


@pytest.mark.parametrize("size", [96, 333, 512, 900])
@pytest.mark.parametrize("aspect", ["keep", "stretch"])
def test_mask_follows_the_picture(size: int, aspect: str) -> None:
    """The mask, prepared, lies where a lesion of that shape lies in the prepared picture."""
    drawn = draw(size)
    settings = Preparation(aspect=aspect, normalise="none", background="keep")
    marked = np.where(drawn["mask"] > 0, 255, drawn["image"] // 2).astype(np.uint8)
    prepared = prepare(marked, drawn["mask"], settings=settings)
    lesion = (prepared.image > 137).astype(float)
    mask = prepared.mask / 255.0
    assert mask.sum() == pytest.approx(lesion.sum(), rel=0.06)
    grid = np.mgrid[:224, :224]
    centres = [(grid * part).sum(axis=(1, 2)) / part.sum() for part in (mask, lesion)]
    np.testing.assert_allclose(centres[0], centres[1], atol=0.5)


def test_mask_is_soft_by_area() -> None:
    drawn = draw(512)
    settings = Preparation(image_size=64, crop="none", background="keep")
    prepared = prepare(drawn["image"], drawn["mask"], settings=settings)
    blocks = drawn["mask"].reshape(64, 8, 64, 8).mean(axis=(1, 3))
    np.testing.assert_allclose(prepared.mask, blocks, atol=1)
    assert len(np.unique(prepared.mask)) > 2


def test_placement_tells_where_the_box_went() -> None:
    drawn = draw(300)
    settings = Preparation(margin=0.0, background="keep", normalise="none")
    prepared = prepare(np.maximum(drawn["image"], 1), drawn["mask"], settings=settings)
    top, left, bottom, right = placement(prepared.box, settings=settings)
    inside = np.zeros((224, 224), bool)
    inside[top:bottom, left:right] = True
    np.testing.assert_array_equal(prepared.image > 0, inside)


def test_lesion_outside_the_foreground_is_flagged() -> None:
    drawn = draw(256)
    stray = np.zeros_like(drawn["mask"])
    stray[:20, :20] = 255
    assert prepare(drawn["image"], stray, settings=Preparation()).flags == ("lesion_outside",)
    assert prepare(drawn["image"], drawn["mask"], settings=Preparation()).flags == ()


def test_deterministic() -> None:
    drawn = draw(512, rendering="padding_circle")
    first, second = (
        prepare(drawn["image"], drawn["mask"], settings=Preparation()) for _ in range(2)
    )
    np.testing.assert_array_equal(first.image, second.image)


def test_size_mismatch() -> None:
    with pytest.raises(DataError, match="expected one size"):
        prepare(np.zeros((4, 5), np.uint8), np.zeros((5, 4), np.uint8), settings=Preparation())


@pytest.mark.parametrize(
    "change",
    [
        {"crop": "lungs"},
        {"image_size": 4},
        {"low_percentile": 99.9},
        {"margin": -0.1},
        {"minimum_foreground": 2.0},
    ],
)
def test_unusable_settings_are_named(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=rf"preparation\.{next(iter(change))}="):
        dataclasses.replace(Preparation(), **change)
