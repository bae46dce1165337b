import numpy as np
import pytest
from drawn_predictions import drawn
from sklearn.metrics import roc_auc_score

from mgajax.evaluation import classification_metrics


def test_patients_are_classified_by_their_mean_probability():
    data = drawn()
    result = classification_metrics(**data, bootstrap=0)["per_patient"]
    names = np.unique(data["patients"])
    means = np.stack(
        [data["probabilities"][data["patients"] == name].mean(axis=0) for name in names]
    )
    labels = np.array([data["labels"][data["patients"] == name][0] for name in names])
    assert result["n"] == len(names) == result["patients"]
    assert result["three_class"]["accuracy"] == np.mean(means.argmax(1) == labels)
    area = roc_auc_score(labels == 1, means[:, 1])
    assert result["covid_vs_rest"]["roc_auc"] == pytest.approx(area, abs=1e-6)
    assert result["several_labels"] == {}


def test_share_of_positive_slices_ranks_patients():
    p = np.eye(3)[[1, 1, 1, 0, 0, 0, 0, 1, 0, 0]]
    y = np.array([1, 1, 1, 1, 0, 0, 0, 0, 2, 2])
    patients = ["a", "a", "b", "b", "c", "c", "d", "d", "e", "e"]
    share = classification_metrics(p, y, patients, bootstrap=200)["per_patient"]["positive_share"]
    # shares: a 1, b 1/2 are positive; c 0, d 1/2, e 0 are not; one tie in six pairs
    assert share["roc_auc"] == pytest.approx(5.5 / 6)
    assert share["intervals"]["roc_auc"]["reason"] == "2 patients, fewer than 5"
    assert share["undefined"] == []


def test_patient_with_several_labels_is_reported():
    p = np.full((6, 3), 1 / 3)
    patients = ["a", "a", "a", "b", "b", "c"]
    result = classification_metrics(p, np.array([0, 0, 1, 0, 1, 2]), patients, bootstrap=0)
    people = result["per_patient"]
    assert people["several_labels"] == {
        "a": {"Normal": 2, "COVID-19": 1},
        "b": {"Normal": 1, "COVID-19": 1},
    }
    support = {k: v["support"] for k, v in people["three_class"]["per_class"].items()}
    assert support == {"Normal": 1, "COVID-19": 1, "CAP": 1}  # b: a tie goes to the positive class


def test_without_patients_there_is_no_patient_section():
    data = drawn()
    assert classification_metrics(data["probabilities"], data["labels"])["per_patient"] is None
