"""Boundary scores against brute force, hand counts and DeepMind's surface-distance."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist

from mgajax.evaluation.boundaries import boundary_scores, outline


def _blobs(shape, *, seed, cover):
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=shape), 2.0)
    return field > np.quantile(field, 1 - cover)


def _corners(mask):
    """Position and length of the outline at each corner, in plain loops."""
    height, width = mask.shape
    padded = np.pad(mask, 1)
    places, lengths = [], []
    for row in range(height + 1):
        for column in range(width + 1):
            four = padded[row : row + 2, column : column + 2]
            if four.all() or not four.any():
                continue
            diagonal = four[0, 0] == four[1, 1]
            cuts = {1: 1, 2: 2 if diagonal else 0, 3: 1}[int(four.sum())]
            places.append((row, column))
            lengths.append(cuts * np.sqrt(0.5) if cuts else 1.0)
    return np.array(places, float), np.array(lengths)


def _brute(predicted, truth, *, tolerance):
    (a, length_a), (b, length_b) = _corners(predicted), _corners(truth)
    apart = cdist(a, b)
    directed, within = [], 0.0
    for distances, lengths in ((apart.min(axis=1), length_a), (apart.min(axis=0), length_b)):
        candidates = np.unique(distances)
        shares = [lengths[distances <= d].sum() / lengths.sum() for d in candidates]
        directed.append(candidates[np.argmax(np.array(shares) >= 0.95 - 1e-9)])
        within += lengths[distances <= tolerance].sum()
    return max(directed), within / (length_a.sum() + length_b.sum())


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("tolerance", [0.0, 1.0, 2.5])
def test_equal_to_brute_force_on_tiny_masks(seed, tolerance):
    shape = (9 + seed, 17)
    predicted = _blobs(shape, seed=seed, cover=0.3)
    truth = _blobs(shape, seed=100 + seed, cover=0.2)
    scores = boundary_scores(predicted, truth, tolerance=tolerance)
    assert scores == pytest.approx(_brute(predicted, truth, tolerance=tolerance), abs=1e-12)


SURFACE_DISTANCE = (
    (0, (1.0, 1.0), 5.656854249492381, 0.6195100020583157),
    (1, (1.0, 1.0), 6.0, 0.6250749472783234),
    (2, (0.8, 0.7), 11.31370849898476, 0.5162012404798452),
    (3, (1.5, 0.7), 5.745432968889289, 0.5441392260306399),
)
"""Seed, spacing, HD95 and surface Dice at tolerance 2."""


def test_equal_to_the_library_it_follows():
    """Recorded with PyPI's surface-distance 0.1, which does not run on NumPy 2 as it is."""
    for seed, spacing, hausdorff95, surface_dice in SURFACE_DISTANCE:
        predicted = _blobs((40, 60), seed=seed, cover=0.2)
        truth = _blobs((40, 60), seed=100 + seed, cover=0.25)
        scores = boundary_scores(predicted, truth, tolerance=2.0, spacing=spacing)
        assert scores == pytest.approx((hausdorff95, surface_dice), rel=1e-9)


def test_a_shifted_square_by_hand():
    truth = np.zeros((12, 12), bool)
    truth[2:6, 2:6] = True
    moved = np.roll(truth, 3, axis=1)
    scores = boundary_scores(moved, truth, tolerance=1.0)
    assert scores.hausdorff95 == 3.0
    assert boundary_scores(moved, truth, tolerance=3.0).surface_dice == 1.0
    assert boundary_scores(truth, truth, tolerance=0.0) == (0.0, 1.0)


def test_the_outline_of_a_square_is_its_sides_with_cut_corners():
    square = np.zeros((7, 9), bool)
    square[1:4, 2:7] = True  # 3 × 5 pixels
    assert outline(square).sum() == pytest.approx(2 * (2 + 4) + 4 * np.sqrt(0.5))
    assert outline(square, (2.0, 1.0)).sum() == pytest.approx(2 * (4 + 4) + 4 * np.hypot(1, 0.5))


def test_two_pixels_that_touch_diagonally_have_two_cuts_between():
    assert outline(np.eye(2, dtype=bool))[1, 1] == pytest.approx(np.sqrt(2))


def test_distances_are_in_the_unit_of_the_spacing():
    truth = np.zeros((12, 12), bool)
    truth[2:6, 2:6] = True
    moved = np.roll(truth, 3, axis=1)
    assert boundary_scores(moved, truth, tolerance=1.0, spacing=(1.0, 0.7)).hausdorff95 == (
        pytest.approx(2.1)
    )


def test_a_lesion_at_the_edge_of_the_frame_has_an_outline_there():
    truth = np.ones((5, 5), bool)
    inner = np.zeros((5, 5), bool)
    inner[1:4, 1:4] = True
    assert boundary_scores(inner, truth, tolerance=0.5).hausdorff95 == pytest.approx(np.sqrt(2))
    assert boundary_scores(truth, truth, tolerance=0.0) == (0.0, 1.0)


def test_order_and_orientation_do_not_matter():
    predicted, truth = _blobs((30, 41), seed=1, cover=0.3), _blobs((30, 41), seed=2, cover=0.3)
    scores = boundary_scores(predicted, truth, tolerance=1.5)
    assert boundary_scores(truth, predicted, tolerance=1.5) == pytest.approx(scores)
    for turn in (np.flipud, np.fliplr, np.transpose):
        turned = boundary_scores(turn(predicted).copy(), turn(truth).copy(), tolerance=1.5)
        assert turned == pytest.approx(scores)


def test_empty_masks():
    empty, lesion = np.zeros((6, 6), bool), np.eye(6, dtype=bool)
    for pair in ((empty, lesion), (lesion, empty)):
        scores = boundary_scores(*pair, tolerance=2.0)
        assert np.isnan(scores.hausdorff95)
        assert scores.surface_dice == 0.0
    assert np.isnan(boundary_scores(empty, empty, tolerance=2.0)).all()
