"""Several classifiers on the same resamples: the same numbers as each alone, and paired."""

import dataclasses

import numpy as np
import pytest
from drawn_predictions import drawn

from mgajax.errors import DataError
from mgajax.evaluation.bootstrap import IntervalSettings
from mgajax.evaluation.classifier_comparison import (
    Replicates,
    mcnemar,
    mean_replicates,
    paired_replicates,
    right_patients,
    weighted_sum,
)
from mgajax.evaluation.intervals import scale_of, student_interval
from mgajax.evaluation.metrics import classification_metrics
from mgajax.evaluation.overlap import overlap_summary
from mgajax.evaluation.predictions import Predictions

SETTINGS = IntervalSettings(replicates=60, seed=3, confidence=0.95)


def predictions(skill: float = 1.2) -> Predictions:
    """Drawn once a skill: labels and patients do not depend on it."""
    columns = drawn(200, skill=skill)
    n = len(columns["labels"])
    rng = np.random.default_rng(1)
    lesion = np.where(columns["labels"] == 1, rng.random(n), 0.0)
    hits = np.where(lesion > 0, rng.random(n), np.nan)
    return Predictions(
        file_names=np.array([f"{i:03d}.png" for i in range(n)]),
        labels=columns["labels"],
        probabilities=columns["probabilities"].astype(np.float64),
        patients=columns["patients"],
        sources=columns["sources"],
        split="test",
        overlap={"lesion_area": lesion, "cell_hit": hits},
    )


def shuffled(predicted: Predictions) -> Predictions:
    order = np.random.default_rng(0).permutation(len(predicted))
    fields = {
        name: getattr(predicted, name)[order] for name in ("file_names", "labels", "patients")
    }
    return dataclasses.replace(
        predicted,
        **fields,
        probabilities=predicted.probabilities[order],
        sources=predicted.sources[order],
        overlap={name: column[order] for name, column in predicted.overlap.items()},
    )


@pytest.mark.parametrize("unit", ["slices", "patients"])
def test_each_has_the_values_and_intervals_of_its_own_evaluation(unit: str) -> None:
    first = predictions()
    replicates = paired_replicates(
        {"a": first, "b": predictions(2.0)}, settings=SETTINGS, unit=unit
    )
    alone = classification_metrics(
        first.probabilities, first.labels, first.patients, bootstrap=60, seed=3, confidence=0.95
    )
    block = alone if unit == "slices" else alone["per_patient"]
    for path in ("covid_vs_rest.f1", "three_class.log_loss"):
        section, metric = path.split(".")
        values = replicates["a"].metrics[path]
        assert values.shape == (61,)
        np.testing.assert_allclose(values[0], block[section][metric], rtol=1e-12)
        span = student_interval(
            values[0],
            values[1:],
            clusters=replicates["a"].clusters[path],
            confidence=0.95,
            scale=scale_of(path),
        )
        expected = block["intervals"][section][metric]
        assert span["clusters"] == expected["clusters"]
        np.testing.assert_allclose([span["low"], span["high"]], [expected["low"], expected["high"]])


def test_order_of_the_slices_does_not_matter_and_pairs_cancel() -> None:
    first = predictions()
    replicates = paired_replicates({"a": first, "b": shuffled(first)}, settings=SETTINGS)
    for metric, values in replicates["a"].metrics.items():
        np.testing.assert_allclose(
            values, replicates["b"].metrics[metric], rtol=1e-12, err_msg=metric
        )


def test_attention_is_averaged_over_slices_with_a_lesion() -> None:
    first = predictions()
    replicates = paired_replicates({"a": first}, settings=SETTINGS)["a"]
    expected = overlap_summary(first.overlap, first.patients, bootstrap=0)["cell_hit"]["mean"]
    np.testing.assert_allclose(replicates.metrics["attention.cell_hit"][0], expected)
    sick = first.patients[first.overlap["lesion_area"] > 0]
    assert replicates.clusters["attention.cell_hit"] == len(np.unique(sick))


def test_runs_on_other_slices_are_refused() -> None:
    first = predictions()
    other = dataclasses.replace(first, labels=(first.labels + 1) % 3)
    with pytest.raises(DataError, match=r"a and b: labels of their test slices differ"):
        paired_replicates({"a": first, "b": other}, settings=SETTINGS)
    with pytest.raises(DataError, match="0 tables of predictions"):
        paired_replicates({}, settings=SETTINGS)


def test_the_mean_over_seeds_is_taken_resample_by_resample() -> None:
    a = Replicates({"x": np.array([0.0, 1.0]), "y": np.zeros(2)}, {"x": 9, "y": 9})
    b = Replicates({"x": np.array([1.0, 0.0])}, {"x": 7})
    mean = mean_replicates([a, b])
    assert mean.clusters == {"x": 7}, "the fewest patients"
    np.testing.assert_array_equal(mean.metrics["x"], [0.5, 0.5])
    difference = weighted_sum([(1.0, a), (-1.0, b)], paths=["z", "x"])
    np.testing.assert_array_equal(difference.metrics["x"], [-1.0, 1.0])


def test_mcnemar_is_the_sign_test_of_what_differs() -> None:
    both = np.ones(50, bool)
    first, second = (
        np.r_[np.ones(10, bool), np.zeros(2, bool), both],
        np.r_[np.zeros(10, bool), np.ones(2, bool), both],
    )
    test = mcnemar(first, second)
    assert (test["only_first"], test["only_second"]) == (10, 2)
    # 2 (C(12,0) + C(12,1) + C(12,2)) / 2^12
    assert test["p"] == pytest.approx(2 * (1 + 12 + 66) / 4096)
    assert mcnemar(both, both)["p"] == 1.0


def test_patients_are_classified_by_their_mean() -> None:
    first = predictions()
    right = right_patients(first)
    names = np.unique(first.patients)
    of_patient = first.patients == names[0]
    called = first.probabilities[of_patient].mean(axis=0).argmax() == 1
    assert right[0] == (called == (first.labels[of_patient][0] == 1))
    assert right.shape == names.shape
