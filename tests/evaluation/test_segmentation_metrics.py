import json
import time

import jax.numpy as jnp
import numpy as np
import pytest
from drawn_masks import drawn_pairs
from sklearn import metrics as sk

from mgajax.errors import ConfigError, DataError
from mgajax.evaluation import collect_counts, count_slice, metrics_from_counts, segmentation_metrics
from mgajax.evaluation.segmentation_counts import SegmentationCounts

SKLEARN = {
    "iou": sk.jaccard_score,
    "dice": sk.f1_score,
    "precision": sk.precision_score,
    "recall": sk.recall_score,
}
PEOPLE = ["a", "a", "b", "b", "b", "c", "d", "d", "e", "f", "f", "f"]


def _random_counts(n, *, seed=0):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(1, 900, size=(4, n))
    return SegmentationCounts(*pixels, *rng.uniform(size=(2, n)), tolerance=2.0, unit="px")


def _flat(tree, path=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def test_precision_and_recall_are_the_right_way_round():
    truth, predicted = np.zeros((4, 5), bool), np.zeros((4, 5), bool)
    truth[0] = True  # five pixels of lesion, two of them found
    predicted[0, :2] = True
    predicted[1, 0] = True  # and one pixel too much
    pooled = segmentation_metrics([predicted], [truth])["pooled"]
    assert pooled["precision"] == 2 / 3
    assert pooled["recall"] == 2 / 5
    assert (pooled["true_positive"], pooled["false_positive"]) == (2, 1)
    assert (pooled["false_negative"], pooled["true_negative"]) == (3, 14)


def test_pooled_equals_scikit_learn_on_all_pixels():
    predictions, masks = drawn_pairs()
    metrics = segmentation_metrics(predictions, masks, bootstrap=0)["pooled"]
    predicted, truth = (np.concatenate([m.ravel() for m in some]) for some in (predictions, masks))
    for name, score in SKLEARN.items():
        assert metrics[name] == pytest.approx(score(truth, predicted), abs=1e-12), name
    assert sum(metrics[name] for name in metrics if "_" in name) == truth.size


def test_per_image_means_equal_scikit_learn_slice_by_slice():
    predictions, masks = drawn_pairs()
    metrics = segmentation_metrics(predictions, masks, bootstrap=0)
    zero_division = {"iou": 1.0, "dice": 1.0, "precision": np.nan, "recall": np.nan}
    lesion = np.array([mask.any() for mask in masks])
    for name, score in SKLEARN.items():
        by_slice = np.array(
            [
                score(t.ravel(), p.ravel(), zero_division=zero_division[name])
                for p, t in zip(predictions, masks, strict=True)
            ]
        )
        assert metrics["per_image"][name] == pytest.approx(np.nanmean(by_slice), abs=1e-12), name
        with_lesion = np.nanmean(by_slice[lesion])
        assert metrics["per_image_with_lesion"][name] == pytest.approx(with_lesion, abs=1e-12), name


def test_empty_masks_are_read_as_stated_and_counted():
    empty, lesion = np.zeros((6, 6), bool), np.eye(6, dtype=bool)
    slices = {"quiet": (empty, empty), "alarm": (lesion, empty), "miss": (empty, lesion)}
    alone = {name: segmentation_metrics([p], [t], bootstrap=0) for name, (p, t) in slices.items()}
    assert alone["quiet"]["per_image"] == {
        "iou": 1.0,
        "dice": 1.0,
        "precision": None,
        "recall": None,
        "hausdorff95": None,
        "surface_dice": 1.0,
    }
    for name, defined, undefined in (
        ("alarm", "precision", "recall"),
        ("miss", "recall", "precision"),
    ):
        means = alone[name]["per_image"]
        assert means["dice"] == means["iou"] == means["surface_dice"] == means[defined] == 0.0
        assert means[undefined] is None
        assert means["hausdorff95"] is None
    assert alone["quiet"]["pooled"]["dice"] is None
    assert "pooled.dice: no lesion, and none predicted" in alone["quiet"]["undefined"]
    assert "pooled.recall: no lesion in the masks" in alone["alarm"]["undefined"]
    assert "pooled.precision: no lesion is predicted" in alone["miss"]["undefined"]
    together = segmentation_metrics(*zip(*slices.values(), (lesion, lesion), strict=True))
    counted = dict(together["empty_masks"])
    assert "HD95" in counted.pop("reading")
    assert counted == {
        "with_lesion": 2,
        "no_lesion_none_predicted": 1,
        "no_lesion_but_predicted": 1,
        "lesion_but_none_predicted": 1,
    }
    assert together["per_image"]["dice"] == 0.5
    assert together["per_image_with_lesion"]["dice"] == 0.5
    assert together["defined_in"]["per_image"]["hausdorff95"] == 1
    assert together["defined_in"]["per_image_with_lesion"]["precision"] == 1
    assert together["undefined"] == []


def test_the_report_is_json_without_nan():
    predictions, masks = drawn_pairs()
    sources = ["jun", "morozov", "medseg"] * 4
    metrics = segmentation_metrics(predictions, masks, PEOPLE, sources=sources, bootstrap=50)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    assert (metrics["n"], metrics["patients"]) == (12, 6)
    assert metrics["boundary"] == {"tolerance": 2.0, "unit": "px"}


def test_per_source_is_the_evaluation_of_the_source_alone():
    predictions, masks = drawn_pairs()
    sources = np.array(["jun", "morozov", "medseg"] * 4)
    metrics = segmentation_metrics(predictions, masks, PEOPLE, sources=sources, bootstrap=50)
    assert list(metrics["per_source"]) == ["jun", "medseg", "morozov"]
    rows = np.flatnonzero(sources == "jun")
    alone = segmentation_metrics(
        *([some[row] for row in rows] for some in (predictions, masks)),
        [PEOPLE[row] for row in rows],
        bootstrap=50,
    )
    assert metrics["per_source"]["jun"].items() <= alone.items()


@pytest.mark.parametrize(
    "form",
    [
        lambda mask: mask.astype(np.uint8),
        lambda mask: mask.astype(np.uint8) * np.uint8(255),
        lambda mask: mask.astype(np.int32),
        lambda mask: np.where(mask, 0.5, 0.499).astype(np.float32),
        lambda mask: jnp.asarray(mask, jnp.float32),
    ],
    ids=["0/1", "0/255", "int32", "probabilities", "jax"],
)
def test_forms_of_a_mask_agree(form):
    predictions, masks = drawn_pairs()
    expected = segmentation_metrics(predictions, masks, bootstrap=20)
    metrics = segmentation_metrics(
        [form(mask) for mask in predictions], [form(mask) for mask in masks], bootstrap=20
    )
    assert metrics == expected


def test_arrays_and_lists_agree():
    rng = np.random.default_rng(0)
    predicted, truth = rng.uniform(size=(2, 3, 8, 9)) > 0.6
    assert segmentation_metrics(predicted, truth) == segmentation_metrics(
        list(predicted), list(truth)
    )


def test_order_of_slices_does_not_matter():
    predictions, masks = drawn_pairs()
    order = np.random.default_rng(1).permutation(12)
    moved = segmentation_metrics(
        *([some[row] for row in order] for some in (predictions, masks)),
        np.array(PEOPLE)[order],
        bootstrap=50,
    )
    assert moved == segmentation_metrics(predictions, masks, PEOPLE, bootstrap=50)


def test_each_replicate_is_the_evaluation_of_the_resampled_slices(monkeypatch):
    predictions, masks = drawn_pairs()
    counts = collect_counts(map(count_slice, predictions, masks))
    draws = {}

    def record(clusters, *, settings):
        rng = np.random.default_rng(settings.seed)
        draws["counts"] = rng.multinomial(6, [1 / 6] * 6, size=settings.replicates)
        return draws["counts"]

    monkeypatch.setattr("mgajax.evaluation.segmentation.resample", record)
    monkeypatch.setattr(
        "mgajax.evaluation.intervals.student_interval", lambda value, draws, **_: draws.tolist()
    )
    metrics = metrics_from_counts(counts, PEOPLE, bootstrap=5)["intervals"]
    people = np.unique(PEOPLE, return_inverse=True)[1]
    for r, drawn in enumerate(draws["counts"]):
        rows = np.repeat(np.arange(12), drawn[people])
        expected = metrics_from_counts(counts.select(rows), bootstrap=0)
        for block in ("pooled", "per_image", "per_image_with_lesion"):
            for name, values in metrics[block].items():
                value = np.nan if expected[block][name] is None else expected[block][name]
                assert values[r] == pytest.approx(value, abs=1e-12, nan_ok=True), (block, name)


def test_bootstrap_is_a_function_of_its_seed():
    counts = _random_counts(40)
    patients = [f"p{i // 3}" for i in range(40)]
    first, again, other = (
        metrics_from_counts(counts, patients, bootstrap=100, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first["pooled"] == other["pooled"]
    assert first["intervals"]["pooled"] != other["intervals"]["pooled"]
    settings = first["intervals"]["settings"]
    assert (settings["unit"], settings["clusters"]) == ("patient", 14)
    for name, value in first["pooled"].items():
        if name in SKLEARN:
            span = first["intervals"]["pooled"][name]
            assert span["low"] < value < span["high"]


def test_patients_alike_within_widen_the_interval():
    counts = _random_counts(20).select(np.repeat(np.arange(20), 10))  # each patient: ten copies
    patients = [f"p{i // 10}" for i in range(200)]

    def width(metrics):
        span = metrics["intervals"]["pooled"]["dice"]
        return span["high"] - span["low"]

    by_slice, by_patient = metrics_from_counts(counts), metrics_from_counts(counts, patients)
    assert width(by_patient) > 2 * width(by_slice)


def test_one_patient_has_values_and_no_interval():
    predictions, masks = drawn_pairs(5)
    metrics = segmentation_metrics(predictions, masks, ["a"] * 5, bootstrap=200)
    assert metrics["pooled"]["dice"] is not None
    spans = {path: value for path, value in _flat(metrics["intervals"]) if path.endswith("low")}
    assert len(spans) == 16
    assert set(spans.values()) == {None}
    assert segmentation_metrics(predictions, masks, bootstrap=0)["intervals"] is None


def test_a_thousand_replicates_of_200_slices_take_well_under_a_second():
    counts = _random_counts(200)
    start = time.process_time()
    metrics_from_counts(counts, [f"p{i // 4}" for i in range(200)], bootstrap=1000)
    assert time.process_time() - start < 1.0


def test_spacing_is_per_slice_or_for_all():
    predictions, masks = drawn_pairs(4)
    metrics = segmentation_metrics(
        predictions, masks, spacing=(0.7, 0.7), tolerance=1.4, bootstrap=0
    )
    in_pixels = segmentation_metrics(predictions, masks, tolerance=2.0, bootstrap=0)
    assert metrics["boundary"] == {"tolerance": 1.4, "unit": "mm"}
    assert metrics["per_image"]["hausdorff95"] == pytest.approx(
        0.7 * in_pixels["per_image"]["hausdorff95"]
    )
    each = segmentation_metrics(
        predictions, masks, spacing=[(0.7, 0.7)] * 4, tolerance=1.4, bootstrap=0
    )
    assert each == metrics


LESION = np.eye(4, dtype=bool)


@pytest.mark.parametrize(
    ("predictions", "masks", "options", "message"),
    [
        ([LESION], [LESION] * 2, {}, "1 predictions, but 2 masks"),
        ([], [], {}, "no slices; expected at least one"),
        ([LESION], [LESION[:3]], {}, r"predicted mask \(4, 4\) and true mask \(3, 4\)"),
        ([LESION[None]], [LESION], {}, r"predictions\[0\]: shape \(1, 4, 4\), expected \[h, w\]"),
        ([LESION], [LESION * 2.0], {}, r"masks\[0\]: values 0.0 … 2.0, expected bool or"),
        ([LESION * np.nan], [LESION], {}, r"predictions\[0\]: values nan … nan"),
        ([LESION], [LESION * np.uint8(128)], {}, r"masks\[0\]: integers 0 … 128, expected 0 and 1"),
        ([LESION], [LESION], {"patients": ["a", "b"]}, r"patients: shape \(2,\), expected \(1,\)"),
        ([LESION], [LESION], {"sources": [""]}, r"sources\[0\] is empty"),
        ([LESION], [LESION], {"spacing": (1, 1, 1)}, r"spacing: shape \(3,\), expected one pair"),
        ([LESION], [LESION], {"spacing": (1, 0)}, "expected the height and width of a pixel"),
        ([LESION], [LESION], {"tolerance": -1.0}, "tolerance=-1.0, expected a distance of 0"),
        ([LESION], [LESION], {"bootstrap": -1}, "bootstrap=-1, expected 0"),
        ([LESION], [LESION], {"confidence": 95.0}, "confidence=95.0, expected a share"),
    ],
)
def test_bad_input_is_named(predictions, masks, options, message):
    with pytest.raises((DataError, ConfigError), match=message):
        segmentation_metrics(predictions, masks, **options)


def test_slices_counted_with_two_tolerances_are_not_mixed():
    slices = [count_slice(LESION, LESION, tolerance=tolerance) for tolerance in (1.0, 2.0)]
    with pytest.raises(DataError, match="tolerances 1 px, 2 px in one set of slices"):
        collect_counts(slices)
