"""Windows, orientations, hashes and alignment, each against what it should do exactly."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from mgajax.audit.alignment import align
from mgajax.audit.hashes import BITS, hash_pictures, near_pairs
from mgajax.audit.thumbnail_windows import ORIENTATIONS, correlation, cut, inset, local_contrast

FRAME = np.array([[0, 0, 1, 1]], np.float32)


def texture(seed: int = 0, side: int = 128) -> np.ndarray:
    """Blobs of many sizes, float32 [1, side, side]."""
    rng = np.random.default_rng(seed)
    field = sum(
        ndimage.gaussian_filter(rng.normal(size=(side, side)), sigma) * sigma for sigma in (2, 4, 8)
    )
    return (128 + 80 * field[None] / np.abs(field).max()).astype(np.float32)


def test_the_whole_window_is_the_picture() -> None:
    np.testing.assert_allclose(cut(texture(), FRAME, size=128), texture(), atol=1e-3)


def test_a_window_is_the_part_it_names() -> None:
    part = np.array([[0.25, 0.5, 0.75, 1.0]], np.float32)
    np.testing.assert_allclose(
        cut(texture(), part, size=64), texture()[:, 32:96, 64:128], atol=1e-3
    )


def test_inset_takes_shares_of_the_window() -> None:
    window = np.array([[0.2, 0.0, 0.6, 1.0]], np.float32)
    np.testing.assert_allclose(
        inset(window, (0.5, 0.1, 0.0, 0.2)), [[0.4, 0.1, 0.6, 0.8]], atol=1e-6
    )


def test_local_contrast_forgets_brightness_and_contrast() -> None:
    first = local_contrast(texture(), coarse=2.0)
    second = local_contrast(20 + 0.7 * texture(), coarse=2.0)
    assert correlation(first, second)[0] > 0.98
    flat = local_contrast(np.full((1, 64, 64), 90, np.float32), coarse=2.0)
    assert correlation(flat, flat)[0] < 0.05


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=lambda orientation: orientation.name)
def test_windows_turn_with_their_pictures(orientation) -> None:
    windows = np.array([[0.1, 0.2, 0.5, 0.9]], np.float32)
    inner = orientation.pictures(cut(texture(), windows, size=32))
    turned = cut(
        np.ascontiguousarray(orientation.pictures(texture())), orientation.windows(windows), size=32
    )
    np.testing.assert_allclose(turned, inner, atol=1e-3)


def test_orientations_are_all_eight() -> None:
    square = np.arange(9).reshape(1, 3, 3)
    assert len({turned.pictures(square).tobytes() for turned in ORIENTATIONS}) == 8
    np.testing.assert_array_equal(ORIENTATIONS[0].pictures(square), square)
    left = next(turned for turned in ORIENTATIONS if turned.name == "turned by 90° to the left")
    np.testing.assert_array_equal(left.pictures(square)[0], np.rot90(square[0]))


@pytest.mark.parametrize("box", [(0, 0, 128, 128), (9, 6, 120, 125), (0, 14, 128, 128)])
def test_alignment_finds_the_cut_out(box: tuple[int, int, int, int]) -> None:
    top, left, bottom, right = box
    part = Image.fromarray(texture()[0][top:bottom, left:right]).resize((128, 128))
    windows, scores = align(
        texture(), np.asarray(part)[None], windows=FRAME + np.float32(0.01), targets=FRAME
    )
    np.testing.assert_allclose(windows[0] * 128, box, atol=1.0)
    assert scores[0] > 0.95


def test_two_textures_do_not_align() -> None:
    _, scores = align(texture(0), texture(1), windows=FRAME, targets=FRAME)
    assert scores[0] == 0.0


def test_near_pairs_are_those_counted_one_by_one() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (130, BITS)).astype(bool)
    bits[50] = bits[3] ^ (np.arange(BITS) < 20)
    bits[51] = bits[3] ^ (np.arange(BITS) < 10)
    bits[52] = bits[3]
    codes = np.packbits(bits, axis=1).view(np.uint64)
    groups = np.arange(130, dtype=np.int32)
    groups[52] = 3
    near = near_pairs(codes, codes, groups=groups, limit=30, most=1)
    pairs = set(
        zip(near.first.tolist(), near.second.tolist(), near.distances.tolist(), strict=True)
    )
    assert pairs == {(3, 51, 10), (50, 51, 10), (51, 3, 10), (52, 51, 10)}


def test_hashes_of_one_picture_in_two_tones_agree() -> None:
    stack = np.concatenate([texture(seed, 32) for seed in range(5)])
    distances = np.bitwise_count(hash_pictures(stack) ^ hash_pictures(30 + 0.6 * stack)).sum(axis=1)
    strangers = np.bitwise_count(hash_pictures(stack) ^ hash_pictures(stack[::-1])).sum(axis=1)
    assert distances.max() < 20
    assert np.delete(strangers, 2).min() > 90
