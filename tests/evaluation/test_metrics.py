import copy
import json
import math

import numpy as np
import pytest
from drawn_predictions import CLASS_NAMES, drawn, from_confusion
from sklearn import metrics as sk

from mgajax.errors import ConfigError, DataError
from mgajax.evaluation import classification_metrics

# The paper's Tables 4 and 5, recovered as counts: tp, fp, fn, tn, then accuracy, F1, recall and
# precision in per cent as recomputed from them, which round or truncate to what it prints.
TABLE_4 = {
    "ResNet18": (447, 11, 75, 705, 93.053, 91.224, 85.632, 97.598),
    "ResNet50": (458, 12, 64, 704, 93.861, 92.339, 87.740, 97.447),
    "DenseNet121": (454, 14, 68, 702, 93.376, 91.717, 86.973, 97.009),
    "ResNet18+CBAM": (467, 16, 55, 700, 94.265, 92.935, 89.464, 96.687),
    "MGA stage 1": (467, 18, 47, 684, 94.655, 93.494, 90.856, 96.289),
    "MGA stage 2": (469, 18, 45, 684, 94.819, 93.706, 91.245, 96.304),
    "MGA stage 3": (468, 13, 46, 689, 95.148, 94.070, 91.051, 97.297),
}


@pytest.mark.parametrize("row", TABLE_4.values(), ids=TABLE_4.keys())
def test_counts_of_the_paper_give_its_percentages(row):
    tp, fp, fn, tn, *percentages = row
    # The rest is split between Normal and CAP; a mix-up among these two must not matter.
    confusion = [[tn - 300, fp - 5, 7], [fn - 3, tp, 3], [20, 5, 273]]
    result = classification_metrics(*from_confusion(confusion), bootstrap=0)
    binary = result["covid_vs_rest"]
    assert [binary[key] for key in ("tp", "fp", "fn", "tn")] == [tp, fp, fn, tn]
    actual = [100 * binary[key] for key in ("accuracy", "f1", "recall", "precision")]
    assert actual == pytest.approx(percentages, abs=6e-4)
    assert result["three_class"]["confusion_matrix"] == confusion
    assert result["three_class"]["accuracy"] < binary["accuracy"]


def test_precision_and_recall_are_not_exchanged():
    binary = classification_metrics(*from_confusion([[5, 4, 0], [1, 8, 1], [0, 0, 6]]))
    assert binary["covid_vs_rest"]["precision"] == pytest.approx(8 / 12)
    assert binary["covid_vs_rest"]["recall"] == pytest.approx(8 / 10)
    assert binary["covid_vs_rest"]["specificity"] == pytest.approx(11 / 15)
    normal = binary["three_class"]["per_class"]["Normal"]
    assert normal["precision"] == pytest.approx(5 / 6)
    assert normal["recall"] == pytest.approx(5 / 9)
    assert normal["support"] == 9


def test_equals_scikit_learn():
    data = drawn()
    p, y = data["probabilities"].astype(np.float64), data["labels"]
    result = classification_metrics(**data, bootstrap=0)
    three, binary = result["three_class"], result["covid_vs_rest"]
    for key in ("precision", "recall", "f1"):
        score = getattr(sk, f"{key}_score")
        assert three[f"macro_{key}"] == pytest.approx(score(y, p.argmax(1), average="macro"))
        assert binary[key] == pytest.approx(score(y == 1, p.argmax(1) == 1))
    areas = [three["roc_auc"][name] for name in CLASS_NAMES]
    assert areas == pytest.approx([sk.roc_auc_score(y == c, p[:, c]) for c in range(3)])
    assert three["roc_auc"]["macro"] == pytest.approx(np.mean(areas))
    assert binary["roc_auc"] == areas[1]
    assert binary["average_precision"] == pytest.approx(sk.average_precision_score(y == 1, p[:, 1]))
    normal = p / p.sum(1, keepdims=True)
    assert three["log_loss"] == pytest.approx(sk.log_loss(y, normal))
    brier = result["calibration"]["brier"]
    assert brier["covid_vs_rest"] == pytest.approx(sk.brier_score_loss(y == 1, p[:, 1]))
    assert brier["three_class"] == pytest.approx(((p - np.eye(3)[y]) ** 2).sum(1).mean())


def test_order_of_rows_does_not_matter_to_a_single_bit():
    data = drawn()
    order = np.random.default_rng(5).permutation(len(data["labels"]))
    shuffled = {key: column[order] for key, column in data.items()}
    first = classification_metrics(**data, bootstrap=50)
    assert classification_metrics(**shuffled, bootstrap=50) == first
    for both in (data, shuffled):
        del both["patients"]
    first = classification_metrics(**data, bootstrap=50)
    assert classification_metrics(**shuffled, bootstrap=50) == first


def test_result_is_json_without_nan_and_input_stays_untouched():
    data = drawn(60, people=9)
    before = copy.deepcopy(data)
    text = json.dumps(classification_metrics(**data, bootstrap=20), allow_nan=False)
    assert json.loads(text)["n"] == 60
    for key, column in before.items():
        np.testing.assert_array_equal(data[key], column)


def test_per_source_is_the_same_evaluation_of_the_part():
    data = drawn()
    rows = data["sources"] == "cohen"
    part = {key: column[rows] for key, column in data.items() if key != "sources"}
    whole = classification_metrics(**data, bootstrap=30)
    assert set(whole["per_source"]) == {"zhao", "cohen"}
    alone = classification_metrics(**part, bootstrap=30)
    for key in ("n", "patients", "three_class", "covid_vs_rest", "calibration", "intervals"):
        assert whole["per_source"]["cohen"][key] == alone[key]
    assert sum(block["n"] for block in whole["per_source"].values()) == whole["n"]


def test_source_with_one_class_has_none_with_reasons():
    data = drawn()
    data["sources"] = np.where(data["labels"] == 1, "morozov", "jun")
    block = classification_metrics(**data, bootstrap=20)["per_source"]["morozov"]
    assert block["covid_vs_rest"]["roc_auc"] is None
    assert block["covid_vs_rest"]["specificity"] is None
    assert block["covid_vs_rest"]["recall"] is not None
    assert block["three_class"]["per_class"]["CAP"]["recall"] is None
    assert block["three_class"]["macro_recall"] is None
    assert block["intervals"]["covid_vs_rest"]["roc_auc"] == {
        "low": None,
        "high": None,
        "clusters": 0,
        "reason": "0 patients, fewer than 5",
    }
    reasons = dict(line.split(": ", 1) for line in block["undefined"])
    assert reasons["covid_vs_rest.roc_auc"] == "all examples are of this class"
    assert reasons["three_class.roc_auc.CAP"] == "no example of this class"
    assert reasons["three_class.macro_recall"] == "undefined for Normal, CAP"
    undefined = [path for path, value in _leaves(block) if value is None]
    listed = [path for path in undefined if path.split(".")[0] in ("three_class", "covid_vs_rest")]
    assert sorted(listed) == sorted(reasons)


def _leaves(tree, path=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield path + key, value


@pytest.mark.parametrize("label", [0, 1, 2])
def test_single_example_is_evaluated(label):
    result = classification_metrics(np.array([[0.2, 0.5, 0.3]]), np.array([label]), ["zhao/1"])
    assert result["n"] == 1
    assert result["covid_vs_rest"]["accuracy"] == float(label == 1)
    json.dumps(result, allow_nan=False)


def test_model_that_always_says_covid():
    y = np.array([0, 0, 1, 2])
    result = classification_metrics(np.tile([0.0, 1.0, 0.0], (4, 1)), y, bootstrap=10)
    assert result["covid_vs_rest"]["recall"] == 1
    assert result["covid_vs_rest"]["roc_auc"] == 0.5
    assert result["three_class"]["per_class"]["CAP"] == {
        "precision": None,
        "recall": 0.0,
        "f1": 0.0,
        "support": 1,
    }
    assert result["three_class"]["macro_f1"] == pytest.approx((0 + 0.4 + 0) / 3)
    assert "three_class.macro_precision: undefined for Normal, CAP" in result["undefined"]
    assert math.isfinite(result["three_class"]["log_loss"])


def test_probability_of_exactly_zero_for_the_truth_is_finite():
    p, y = np.eye(3)[[0, 1, 2]], np.array([1, 1, 2])
    result = classification_metrics(p, y, bootstrap=20)
    assert result["three_class"]["log_loss"] == pytest.approx(sk.log_loss(y, p, labels=[0, 1, 2]))
    assert result["calibration"]["brier"]["three_class"] == pytest.approx(2 / 3)


def _spoilt(change):
    data = drawn(20, people=6)
    change(data)
    return data


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["probabilities"].__setitem__((7, 2), np.nan), r"\[7, 2\] is nan"),
        (lambda d: d["probabilities"].__setitem__((3, 0), 1.5), r"\[3, 0\] is 1.5"),
        (lambda d: d.update(probabilities=d["probabilities"] * 0.5), r"\[0\] sums to 0.5"),
        (lambda d: d["labels"].__setitem__(4, 3), r"labels\[4\] is 3.*0 … 2"),
        (lambda d: d["labels"].__setitem__(4, -1), r"labels\[4\] is -1"),
        (lambda d: d.update(labels=d["labels"][:-1]), r"shape \(19,\), expected \(20,\)"),
        (lambda d: d.update(labels=d["labels"] + 0.5), r"labels\[0\] is .*integer"),
        (lambda d: d.update(probabilities=d["probabilities"][:, :2]), r"expected \(n, 3\)"),
        (lambda d: d.update(patients=d["patients"][1:]), r"patients: shape \(19,\)"),
        (lambda d: d["patients"].__setitem__(2, ""), r"patients\[2\] is empty"),
        (lambda d: d.update({k: v[:0] for k, v in d.items()}), "no rows"),
    ],
)
def test_bad_input_names_the_row_and_the_value(change, words):
    with pytest.raises(DataError, match=words):
        classification_metrics(**_spoilt(change))


@pytest.mark.parametrize(
    "argument",
    [
        {"positive": 3},
        {"confidence": 95.0},
        {"bootstrap": -1},
        {"class_names": ("a", "a", "b")},
        {"class_names": ("a",)},
    ],
)
def test_bad_argument_is_named(argument):
    with pytest.raises(ConfigError, match=next(iter(argument))):
        classification_metrics(**drawn(20), **argument)


def test_two_classes_and_another_positive():
    p = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7]])
    y = np.array([0, 0, 1])
    result = classification_metrics(p, y, class_names=("a", "b"), positive=0, bootstrap=0)
    assert result["positive"] == "a"
    assert result["covid_vs_rest"]["recall"] == 0.5
    assert result["intervals"] is None


def test_the_share_of_positive_slices_has_intervals_where_they_are_asked_for():
    data = drawn()
    without, with_intervals = (
        classification_metrics(**data, bootstrap=replicates)["per_patient"]["positive_share"]
        for replicates in (0, 20)
    )
    assert without["intervals"] is None
    for score in ("roc_auc", "average_precision"):
        interval = with_intervals["intervals"][score]
        assert interval["low"] <= with_intervals[score] <= interval["high"]
