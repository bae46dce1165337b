"""What was prepared comes back to the slice's own pixels."""

import dataclasses

import numpy as np
import pytest
from drawn_slices import build, draw
from PIL import Image

from mgajax.data.cache import open_prepared_set
from mgajax.data.preparation import Preparation, prepare, restore
from mgajax.data.table import iter_encoded
from mgajax.errors import DataError

PLAIN = Preparation(background="keep", crop="none", normalise="none")


def restored(
    image: np.ndarray, mask: np.ndarray, *, settings: Preparation, flags: str = ""
) -> np.ndarray:
    """Share of lesion [h, w] after the way to the prepared square and back."""
    turn = slice(None, None, -1 if flags else 1)
    prepared = prepare(image[turn], mask[turn], settings=settings)
    height, width = image.shape
    values = prepared.mask.astype(np.float32) / np.float32(255)
    return restore(
        values, box=prepared.box, height=height, width=width, settings=settings, flags=flags
    )


def overlap(predicted: np.ndarray, true: np.ndarray) -> float:
    return (predicted & true).sum() / (predicted | true).sum()


@pytest.mark.parametrize("orientation", ["stored", "upright"])
@pytest.mark.parametrize("aspect", ["keep", "stretch"])
@pytest.mark.parametrize("rows", [slice(None), slice(0.12, 0.82)], ids=["square", "wide"])
@pytest.mark.parametrize("size", [160, 333, 512, 701])
def test_a_lesion_comes_back_to_its_place(
    size: int, rows: slice, aspect: str, orientation: str
) -> None:
    part = np.s_[:] if rows.start is None else np.s_[int(rows.start * size) : int(rows.stop * size)]
    drawn = {name: picture[part] for name, picture in draw(size).items()}
    settings = Preparation(aspect=aspect, orientation=orientation)
    flags = "upside_down" if orientation == "upright" else ""
    actual = restored(drawn["image"], drawn["mask"], settings=settings, flags=flags)
    assert actual.shape == drawn["image"].shape
    assert overlap(actual >= 0.5, drawn["mask"] > 0) > 0.95


@pytest.mark.parametrize("shape", [(300, 120), (90, 400), (512, 511)])
@pytest.mark.parametrize("aspect", ["keep", "stretch"])
def test_any_shape_and_corner(shape: tuple[int, int], aspect: str) -> None:
    """Blobs at the corners, so that a wrong pad, axis or turn shows."""
    height, width = shape
    y, x = np.mgrid[:height, :width]
    settings = dataclasses.replace(PLAIN, aspect=aspect)
    for centre in ((0.15, 0.2), (0.85, 0.2), (0.15, 0.8)):
        inside = ((y / height - centre[0]) / 0.12) ** 2 + ((x / width - centre[1]) / 0.15) ** 2 <= 1
        mask = np.where(inside, 255, 0).astype(np.uint8)
        actual = restored(np.full(shape, 90, np.uint8), mask, settings=settings)
        assert overlap(actual >= 0.5, inside) > 0.95


def test_exact_where_nothing_is_resized() -> None:
    rng = np.random.default_rng(0)
    values = rng.random((64, 64), dtype=np.float32)
    settings = dataclasses.replace(PLAIN, image_size=64)
    whole = restore(values, box=(0, 0, 64, 64), height=64, width=64, settings=settings)
    np.testing.assert_array_equal(whole, values)
    assert whole.dtype == np.float32

    box = np.array([3, 5, 67, 45], np.int32)  # 64 rows, 40 columns: padded by 12 on either side
    cut = restore(values, box=box, height=80, width=50, settings=settings)
    np.testing.assert_array_equal(cut[3:67, 5:45], values[:, 12:52])
    cut[3:67, 5:45] = 0
    assert not cut.any()


def test_the_flag_turns_only_slices_that_the_preparation_turned() -> None:
    values = np.random.default_rng(1).random((64, 64), dtype=np.float32)
    for orientation, flags, turned in (
        ("upright", "upside_down", True),
        ("upright", "text,upside_down", True),
        ("upright", "", False),
        ("stored", "upside_down", False),
    ):
        settings = dataclasses.replace(PLAIN, image_size=64, orientation=orientation)
        actual = restore(
            values, box=(0, 0, 64, 64), height=64, width=64, settings=settings, flags=flags
        )
        np.testing.assert_array_equal(actual, values[::-1] if turned else values)


def test_values_stay_in_their_range() -> None:
    values = np.ones((64, 64), np.float32)
    for height, width in ((64, 64), (31, 200), (7, 3), (1, 1)):
        settings = dataclasses.replace(PLAIN, image_size=64, aspect="stretch")
        box = (0, 0, height, width)
        actual = restore(values, box=box, height=height, width=width, settings=settings)
        np.testing.assert_array_equal(actual, np.ones((height, width), np.float32))


def test_enlarging_is_bilinear() -> None:
    """Doubling has the weights of half-pixel centres, 3/4 and 1/4, with edges repeated."""
    values = np.random.default_rng(2).random((8, 8), dtype=np.float32)
    settings = dataclasses.replace(PLAIN, image_size=8)
    actual = restore(values, box=(0, 0, 16, 16), height=16, width=16, settings=settings)
    for axis in (0, 1):
        padded = np.pad(values, [(1, 1) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        ahead, behind = (np.roll(padded, shift, axis=axis) for shift in (1, -1))
        pair = np.stack(
            [0.75 * padded + 0.25 * ahead, 0.75 * padded + 0.25 * behind], axis=axis + 1
        )
        values = pair.reshape([2 * n if a == axis else n for a, n in enumerate(padded.shape)])
        values = values.take(range(2, values.shape[axis] - 2), axis=axis)
    np.testing.assert_allclose(actual, values, atol=1e-6)


def test_every_slice_of_a_built_set(tmp_path) -> None:
    """With the boxes and flags that a prepared set keeps, one slice of it stored upside down."""
    place = build(tmp_path)
    settings = Preparation(image_size=64, orientation="upright", aspect="stretch")
    data = open_prepared_set(place, settings=settings)
    for row, _, encoded in iter_encoded(place):
        (tmp_path / "mask.png").write_bytes(encoded)
        with Image.open(tmp_path / "mask.png") as picture:
            mask = np.asarray(picture.convert("L"))
        actual = restore(
            data.masks[row, ..., 0].astype(np.float32) / np.float32(255),
            box=data.boxes[row],
            height=mask.shape[0],
            width=mask.shape[1],
            settings=settings,
            flags=str(data.table.flags[row]),
        )
        assert overlap(actual >= 0.5, mask > 127) > 0.95


@pytest.mark.parametrize(
    "box", [(0, 0, 0, 0), (0, 0, 65, 64), (-1, 0, 64, 64), (4, 0, 64, 0), (9, 0, 8, 64)]
)
def test_unusable_boxes_are_refused(box: tuple[int, int, int, int]) -> None:
    values, settings = np.zeros((64, 64), np.float32), dataclasses.replace(PLAIN, image_size=64)
    with pytest.raises(DataError, match="expected top < bottom and left < right"):
        restore(values, box=box, height=64, width=64, settings=settings)


def test_a_square_of_another_size_is_refused() -> None:
    with pytest.raises(DataError, match=r"expected the prepared square \(224, 224\)"):
        restore(np.zeros((32, 32), np.float32), box=(0, 0, 9, 9), height=9, width=9, settings=PLAIN)
