"""Scores of maps whose answer is known; curves and the sanity check on a network that adds up."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import spearmanr

from mgajax.errors import ConfigError, DataError
from mgajax.evaluation.overlap import overlap_summary
from mgajax.explanation.deep_lift import deeplift
from mgajax.explanation.pixel_curves import move_pixels
from mgajax.explanation.randomisation import randomisation_check, rank_correlation
from mgajax.explanation.scores import lesion_scores, relevance


def test_relevance_reads_signs() -> None:
    signed = np.array([[[-2.0, 3.0]]], np.float32)
    np.testing.assert_allclose(relevance(signed, reading="positive"), [[[0, 3]]])
    np.testing.assert_allclose(relevance(signed, reading="absolute"), [[[2, 3]]])
    with pytest.raises(ConfigError, match="reading='signed'"):
        relevance(signed, reading="signed")


@pytest.fixture
def masks() -> np.ndarray:
    masks = np.zeros((3, 10, 10), np.uint8)
    masks[0, 2:4, 3:8] = 255
    masks[1, 5:9, 0:5] = 255
    return masks


def test_a_perfect_map_scores_one(masks: np.ndarray) -> None:
    scores = lesion_scores((masks > 0).astype(np.float64), masks, top_shares=(0.1, 0.2))
    for name in ("energy_in_lesion", "pointing_hit", "rank_auc", "top_area_iou"):
        np.testing.assert_allclose(scores[name][:2], 1.0)
        assert np.isnan(scores[name][2])
    np.testing.assert_allclose(scores["top_10%_iou"][:2], [1.0, 0.5])
    np.testing.assert_allclose(scores["top_20%_iou"][:2], [0.5, 1.0])


def test_a_flat_map_scores_chance(masks: np.ndarray) -> None:
    scores = lesion_scores(np.ones(masks.shape), masks, top_shares=(0.1,))
    np.testing.assert_allclose(scores["rank_auc"][:2], 0.5)
    np.testing.assert_allclose(scores["energy_in_lesion"][:2], [0.1, 0.2])
    # 10 of 100 pixels at random hit 1 of 10 lesion pixels: 1 / (10 + 10 − 1).
    np.testing.assert_allclose(scores["top_10%_iou"][:2], [1 / 19, 2 / 28])


def test_a_reversed_map_scores_nothing(masks: np.ndarray) -> None:
    scores = lesion_scores((masks == 0).astype(np.float64), masks, top_shares=(0.1,))
    np.testing.assert_allclose(scores["rank_auc"][:2], 0.0)
    np.testing.assert_allclose(scores["top_10%_iou"][:2], 0.0)


def test_means_have_intervals_over_patients(masks: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    maps = rng.random((12, 10, 10))
    scores = lesion_scores(maps, masks[np.arange(12) % 3])
    summary = overlap_summary(scores, [f"p{i // 2}" for i in range(12)], bootstrap=200)
    assert (summary["slices_with_lesion"], summary["patients_with_lesion"]) == (8, 6)
    score = summary["top_10%_iou"]
    assert score["mean"] == pytest.approx(np.nanmean(scores["top_10%_iou"]))
    assert score["low"] < score["mean"] < score["high"]


def test_maps_must_fit_their_masks(masks: np.ndarray) -> None:
    with pytest.raises(DataError, match="expected the same shape"):
        lesion_scores(np.ones((3, 5, 5)), masks)
    with pytest.raises(ConfigError, match="top_shares"):
        lesion_scores(np.ones(masks.shape), masks, top_shares=(5.0,))


class WeightedSum(nn.Module):
    """Logit 1 is a weighted sum of the pixels, logit 0 is 0."""

    @nn.compact
    def __call__(self, x, *, train: bool = False):
        weights = self.param("weights", nn.initializers.normal(1.0), x.shape[1:])
        score = (x * weights[None]).sum(axis=(1, 2, 3))
        return jnp.stack([jnp.zeros_like(score), score], axis=1)


@pytest.fixture
def weighted():
    rng = np.random.default_rng(0)
    x = rng.random((2, 6, 6, 1)).astype(np.float32)
    weights = rng.standard_normal((6, 6, 1)).astype(np.float32)
    return WeightedSum(), {"params": {"weights": weights}}, x, np.zeros_like(x), np.array([1, 1])


@pytest.mark.parametrize("batch_size", [5, 64])
def test_curves_of_a_linear_network(weighted, batch_size: int) -> None:
    _, variables, x, _, _ = weighted
    gains = (x * variables["params"]["weights"])[..., 0]
    for direction in ("insertion", "deletion"):
        curve = move_pixels(
            *weighted, maps=gains, direction=direction, steps=4, batch_size=batch_size
        )
        np.testing.assert_allclose(curve.shares, [0, 0.25, 0.5, 0.75, 1])
        ordered = np.sort(gains.reshape(2, -1), axis=1)[:, ::-1].cumsum(axis=1)
        sums = np.stack([np.zeros(2), *ordered[:, 8::9].T], axis=1)
        if direction == "deletion":
            sums = sums[:, -1:] - sums
        np.testing.assert_allclose(curve.probabilities, 1 / (1 + np.exp(-sums)), atol=1e-5)
        np.testing.assert_allclose(
            curve.area, (curve.probabilities[:, 1:] + curve.probabilities[:, :-1]).mean(axis=1) / 2
        )


def test_curves_prefer_the_attribution_to_its_reverse(weighted) -> None:
    maps = relevance(deeplift(*weighted).attributions.sum(axis=-1), reading="positive")
    right = move_pixels(*weighted, maps=maps, direction="insertion").area
    wrong = move_pixels(*weighted, maps=-maps, direction="insertion").area
    assert (right > wrong).all()


def test_curves_refuse_mismatched_inputs(weighted) -> None:
    maps = np.zeros((2, 6, 6), np.float32)
    with pytest.raises(ConfigError, match="direction='up'"):
        move_pixels(*weighted, maps=maps, direction="up")
    with pytest.raises(DataError, match="one map an image"):
        move_pixels(*weighted, maps=maps[:, :3], direction="insertion")


def test_randomisation_tells_learned_maps_from_edges(weighted) -> None:
    model, variables, x, baselines, targets = weighted
    other = np.random.default_rng(1).standard_normal((6, 6, 1)).astype(np.float32)

    def learned(trained):
        explained = deeplift(model, trained, x, baselines, targets)
        return relevance(explained.attributions.sum(axis=-1), reading="absolute")

    arguments = {"redrawn": {"params": {"weights": other}}, "layers": ("weights",)}
    assert (np.abs(randomisation_check(learned, variables, **arguments)["weights"]) < 0.6).all()
    edges = randomisation_check(lambda _: x[..., 0].astype(np.float64), variables, **arguments)
    np.testing.assert_allclose(edges["weights"], 1.0)
    with pytest.raises(DataError, match="expected some of weights"):
        randomisation_check(learned, variables, **(arguments | {"layers": ("stem",)}))


def test_rank_correlation_is_spearmans() -> None:
    first, other = np.random.default_rng(0).random((2, 3, 4, 4)).round(1)
    expected = [
        spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(first, other, strict=True)
    ]
    np.testing.assert_allclose(rank_correlation(first, other), expected)
    assert np.isnan(rank_correlation(first, np.ones_like(first))).all()
