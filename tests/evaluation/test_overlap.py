import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mgajax.errors import DataError
from mgajax.evaluation import lesion_overlap, overlap_summary
from mgajax.evaluation.overlap import area_average


def _drawn(n=6, *, seed=0):
    rng = np.random.default_rng(seed)
    attention = rng.uniform(size=(n, 7, 7)).astype(np.float32)
    masks = np.zeros((n, 28, 28), np.uint8)
    for mask in masks:
        top, left = rng.integers(0, 16, size=2)
        mask[top : top + 9, left : left + 6] = 255
    return attention, masks


def test_scores_are_those_of_the_enlarged_map():
    attention, masks = _drawn()
    scores = lesion_overlap(attention, masks)
    large = attention.repeat(4, axis=1).repeat(4, axis=2).astype(np.float64)
    for i, (a, m) in enumerate(zip(large, masks > 0, strict=True)):
        assert scores["lesion_area"][i] == pytest.approx(m.mean())
        assert scores["attention_in_lesion"][i] == pytest.approx(a[m].sum() / a.sum())
        assert scores["rank_auc"][i] == pytest.approx(roc_auc_score(m.ravel(), a.ravel()))
        assert scores["cell_hit"][i] == float(m[a == a.max()].any())


def test_top_area_iou_takes_as_much_as_the_lesion_has():
    mask = np.zeros((1, 4, 4), np.uint8)
    mask[0, :2] = 255
    attention = np.linspace(1, 0, 16, dtype=np.float32).reshape(1, 4, 4)
    assert lesion_overlap(attention, mask)["top_area_iou"][0] == 1.0
    assert lesion_overlap(1 - attention, mask)["top_area_iou"][0] == 0.0
    half = attention.transpose(0, 2, 1)  # the left half: half of it on the lesion
    assert lesion_overlap(half.copy(), mask)["top_area_iou"][0] == pytest.approx(4 / 12)


def test_flat_attention_scores_chance():
    _, masks = _drawn(3)
    scores = lesion_overlap(np.full((3, 7, 7), 0.3, np.float32), masks)
    area = scores["lesion_area"]
    np.testing.assert_allclose(scores["attention_in_lesion"], area)
    np.testing.assert_allclose(scores["rank_auc"], 0.5)
    np.testing.assert_allclose(scores["top_area_iou"], area / (2 - area))


def test_slice_without_lesion_is_nan_and_counted_apart():
    attention, masks = _drawn(4)
    masks[2] = 0
    scores = lesion_overlap(attention, masks)
    unknown = {name: np.r_[column, np.nan] for name, column in scores.items()}
    people = ["a", "a", "b", "c"]
    assert overlap_summary(unknown, [*people, "d"]) == overlap_summary(scores, people)
    assert scores["lesion_area"][2] == 0
    for name in ("attention_in_lesion", "cell_hit", "rank_auc", "top_area_iou"):
        assert np.isnan(scores[name]).tolist() == [False, False, True, False]
    summary = overlap_summary(scores, people, bootstrap=100)
    assert summary["slices_with_lesion"] == 3
    assert summary["slices_without_lesion"] == 1
    assert summary["patients_with_lesion"] == 2
    mean = summary["rank_auc"]
    assert mean["mean"] == pytest.approx(np.nanmean(scores["rank_auc"]))
    assert (mean["low"], mean["reason"]) == (None, "2 patients, fewer than 5")
    twelve = overlap_summary(lesion_overlap(*_drawn(12)), bootstrap=100)["rank_auc"]
    assert twelve["low"] < twelve["mean"] < twelve["high"]


def test_no_lesion_at_all_is_none_not_nan():
    attention, masks = _drawn(2)
    summary = overlap_summary(lesion_overlap(attention, masks * 0), bootstrap=10)
    json.dumps(summary, allow_nan=False)
    assert summary["rank_auc"]["mean"] is None
    assert summary["slices_without_lesion"] == 2


def test_dead_attention_and_full_lesion():
    scores = lesion_overlap(np.zeros((1, 2, 2), np.float32), np.full((1, 4, 4), 255, np.uint8))
    assert np.isnan(scores["attention_in_lesion"][0])
    assert np.isnan(scores["rank_auc"][0])
    assert scores["top_area_iou"][0] == 1.0
    assert overlap_summary(scores, bootstrap=0)["attention_in_lesion"]["n"] == 0


def test_mask_forms_agree():
    attention, masks = _drawn()
    first = lesion_overlap(attention, masks)
    for other in (masks > 0, (masks / 255).astype(np.float32)):
        for name, column in lesion_overlap(attention, other).items():
            np.testing.assert_allclose(column, first[name], rtol=1e-6)


@pytest.mark.parametrize("size", [(7, 7), (5, 9), (40, 33)])
def test_area_average_keeps_the_lesion_area(size):
    mask = np.random.default_rng(0).uniform(size=(28, 30))
    small = area_average(mask, size=size)
    assert small.shape == size
    assert small.mean() == pytest.approx(mask.mean())


def test_area_average_is_the_block_mean_where_cells_are_whole_pixels():
    mask = np.random.default_rng(0).uniform(size=(28, 30))
    blocks = mask.reshape(7, 4, 5, 6).mean(axis=(1, 3))
    np.testing.assert_allclose(area_average(mask, size=(7, 5)), blocks)


def test_order_of_slices_does_not_matter_to_the_summary():
    columns, patients = lesion_overlap(*_drawn(12)), np.array(list("abcabcabcdef"))
    order = np.random.default_rng(1).permutation(12)
    moved = {name: column[order] for name, column in columns.items()}
    assert overlap_summary(moved, patients[order]) == overlap_summary(columns, patients)


def test_bad_values_are_named():
    attention, masks = _drawn()
    attention[3, 1, 2] = np.nan
    with pytest.raises(DataError, match=r"attention\[3, 1, 2\] is nan"):
        lesion_overlap(attention, masks)
    with pytest.raises(DataError, match=r"masks\[0, 0, 0\] is 255"):
        lesion_overlap(np.abs(_drawn()[0]), np.full((6, 28, 28), 255.0))
