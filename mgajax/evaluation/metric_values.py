"""The values of every metric on one set of examples, from scikit-learn where it has them.

An undefined value (0/0, a class that does not occur) is None, and the report says why.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn import metrics as sk

from mgajax.evaluation import calibration
from mgajax.evaluation.scored_examples import ScoredExamples


@dataclass(frozen=True)
class Classes:
    """Which classes there are, and which one is positive.

    Attributes:
      names: of the classes 0 … k-1.
      positive: class code of the binary metrics.
    """

    names: tuple[str, ...]
    positive: int


@dataclass
class Reasons:
    """Why values are undefined: "path: reason", in the order of the report."""

    lines: list[str] = field(default_factory=list)

    def value(self, value: float, path: str, reason: str) -> float | None:
        """`value`, or None with a note where it is NaN."""
        if np.isfinite(value):
            return float(value)
        self.lines.append(f"{path}: {reason}")
        return None

    def macro(self, values: dict[str, float | None], path: str) -> float | None:
        """The plain mean over classes; undefined as soon as one class is."""
        known = [value for value in values.values() if value is not None]
        missing = [name for name, value in values.items() if value is None]
        mean = np.nan if missing else float(np.mean(known))
        return self.value(mean, path, f"undefined for {', '.join(missing)}")


def three_class_metrics(
    examples: ScoredExamples, *, classes: Classes, reasons: Reasons
) -> dict[str, Any]:
    """Metrics of the k-way decision (argmax) and of the k probabilities, one versus rest."""
    labels, predicted, names = examples.labels, examples.predicted, classes.names
    codes = list(range(len(names)))
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        labels, predicted, labels=codes, average=None, zero_division=np.nan
    )
    per_class, areas = {}, {}
    for code, name in enumerate(names):
        path = f"three_class.per_class.{name}"
        absent = f"no example of {name}"
        never = f"{name} is never predicted"
        per_class[name] = {
            "precision": reasons.value(precision[code], f"{path}.precision", never),
            "recall": reasons.value(recall[code], f"{path}.recall", absent),
            "f1": reasons.value(f1[code], f"{path}.f1", f"{absent} and {never}"),
            "support": int(support[code]),
        }
        areas[name] = _roc_auc(examples, code, f"three_class.roc_auc.{name}", reasons)
    macro = {
        f"macro_{key}": reasons.macro(
            {name: row[key] for name, row in per_class.items()}, f"three_class.macro_{key}"
        )
        for key in ("precision", "recall", "f1")
    }
    return {
        "accuracy": float(sk.accuracy_score(labels, predicted)),
        **macro,
        "per_class": per_class,
        "roc_auc": areas | {"macro": reasons.macro(areas, "three_class.roc_auc.macro")},
        "log_loss": float(sk.log_loss(labels, normalise(examples), labels=codes)),
        "confusion_matrix": sk.confusion_matrix(labels, predicted, labels=codes).tolist(),
    }


def covid_vs_rest_metrics(
    examples: ScoredExamples, *, classes: Classes, reasons: Reasons
) -> dict[str, Any]:
    """The paper's numbers (Tables 4 and 5): the positive class against all others.

    Note: the paper does not define them. Its percentages fit whole counts only if accuracy, too,
    is binary and F1 is that of the positive class. An example counts as positive where the k-way
    argmax says so; the AUC ranks by the probability of the positive class.
    """
    truth = examples.labels == classes.positive
    hits = examples.predicted == classes.positive
    (tn, fp), (fn, tp) = sk.confusion_matrix(truth, hits, labels=[False, True]).tolist()
    precision, recall, f1, _ = sk.precision_recall_fscore_support(
        truth, hits, labels=[False, True], average=None, zero_division=np.nan
    )
    name = classes.names[classes.positive]
    absent, never = f"no example of {name}", f"{name} is never predicted"
    path = "covid_vs_rest"
    scores = examples.probabilities[:, classes.positive]
    area = float(sk.average_precision_score(truth, scores)) if truth.any() else np.nan
    return {
        "accuracy": float(sk.accuracy_score(truth, hits)),
        "f1": reasons.value(f1[1], f"{path}.f1", f"{absent} and {never}"),
        "recall": reasons.value(recall[1], f"{path}.recall", absent),
        "precision": reasons.value(precision[1], f"{path}.precision", never),
        "specificity": reasons.value(recall[0], f"{path}.specificity", f"no example but {name}"),
        "roc_auc": _roc_auc(examples, classes.positive, f"{path}.roc_auc", reasons),
        "average_precision": reasons.value(area, f"{path}.average_precision", absent),
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "tn": tn,
    }


def calibration_metrics(examples: ScoredExamples, *, classes: Classes) -> dict[str, Any]:
    """Calibration of the winning probability (top label) and of the positive class's."""
    p, n = examples.probabilities, len(examples)
    judged = {
        "top_label": (p.max(axis=1), examples.predicted == examples.labels),
        "covid_vs_rest": (p[:, classes.positive], examples.labels == classes.positive),
    }
    brier = {
        "three_class": calibration.brier_terms(p, examples.labels).mean(),
        "covid_vs_rest": ((judged["covid_vs_rest"][0] - judged["covid_vs_rest"][1]) ** 2).mean(),
    }
    return {
        "bins": calibration.BINS,
        "binning": "equal width, open on the left",
        "ece": {
            name: float(calibration.ece(calibration.bin_sums(*pair).sum(axis=0), n))
            for name, pair in judged.items()
        },
        "brier": {name: float(value) for name, value in brier.items()},
        "reliability": {name: calibration.reliability(*pair) for name, pair in judged.items()},
    }


def normalise(examples: ScoredExamples) -> np.ndarray:
    """The probabilities with rows that sum to one in float64, as the logarithm needs them."""
    p = np.clip(examples.probabilities, 0.0, None)
    return p / p.sum(axis=1, keepdims=True)


def _roc_auc(examples: ScoredExamples, code: int, path: str, reasons: Reasons) -> float | None:
    truth = examples.labels == code
    if truth.all() or not truth.any():
        reason = "all examples are of this class" if truth.any() else "no example of this class"
        return reasons.value(np.nan, path, reason)
    return float(sk.roc_auc_score(truth, examples.probabilities[:, code]))
