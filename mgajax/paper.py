"""The paper's numbers and model names, as printed. A leaf: it imports nothing of ours but the schema.

Every percentage is on the paper's own, unpublished split, so that none is a target on other slices.
"""

from collections.abc import Mapping
from typing import Final

from mgajax.schema import CLASS_NAMES, SPLITS

PaperRow = Mapping[str, float]
"""One row of a table, in percent, by metric."""

CLASSIFIER_METRICS: Final[Mapping[str, str]] = {
    "accuracy": "Accuracy",
    "f1": "F1",
    "recall": "Recall",
    "precision": "Precision",
    "roc_auc": "ROC AUC",
}
"""The columns of Tables 4 and 5, COVID-19 against the rest: heading by key of a report."""

SEGMENTER_METRICS: Final[Mapping[str, str]] = {
    "iou": "IoU",
    "dice": "Dice",
    "precision": "Precision",
    "recall": "Recall",
}
"""The columns of Table 3: heading by key of a report."""

MODEL_NAMES: Final[Mapping[str, str]] = {
    "resnet18": "ResNet18",
    "resnet50": "ResNet50",
    "densenet121": "DenseNet121",
    "resnet18_cbam": "ResNet18 + CBAM",
    "mga_resnet18": "ResNet18 + CBAM + MGA",
    "segnet": "SegNet",
    "unet": "U-Net",
    "deeplabv3_resnet50": "DeepLabV3 (ResNet50)",
    "deeplabv3_resnet101": "DeepLabV3 (ResNet101)",
    "hmsanet": "HMSANet",
}
"""How the registered models are written, in the order of Table 4 and of Table 3."""

TABLE1: Final[Mapping[str, tuple[tuple[int, int, int], tuple[int, int, int]]]] = {
    "zhao": ((0, 349, 0), (0, 213, 0)),
    "afshar": ((760, 3815, 2618), (76, 55, 60)),
    "cohen": ((0, 34, 0), (0, 17, 0)),
    "morozov": ((5080, 785, 0), (254, 50, 0)),
    "rahimzadeh": ((1053, 666, 0), (274, 68, 0)),
    "jun": ((0, 1844, 0), (0, 20, 0)),
    "medseg": ((0, 100, 0), (0, 43, 0)),
    "all": ((6893, 7593, 2618), (604, 466, 60)),
}
"""Table 1: by source, slices and cases by class (CAP from the text of section 4)."""

MISSING_SEX: Final = 0.09
"""Table 1: the share of slices without sex and age."""

REPORTS: Final = 796
"""Section 4: slices with a CT report."""

COUNTRIES: Final = 13
"""Section 4: countries that patients come from."""

MASKS: Final = 2729
"""Section 4: lesion masks."""

LESION_SPLIT: Final[Mapping[str, int]] = dict(zip(SPLITS, (2329, 200, 200), strict=True))
"""Section 5.1: slices with a lesion mask by split, all of COVID-19."""

MEDIAN_AGES: Final[PaperRow] = {"Normal": 50.0, "COVID-19": 49.0, "CAP": 59.0}
"""Figure 4: median age over slices, in years, by class."""


def _table2(*counts: tuple[int, int, int]) -> Mapping[str, Mapping[str, int]]:
    return {
        split: dict(zip(CLASS_NAMES, slices, strict=True))
        for split, slices in zip(SPLITS, counts, strict=True)
    }


TABLE2: Final = _table2((4643, 5563, 1773), (1736, 1508, 643), (514, 522, 202))
"""Table 2: slices by split and class."""


def _table3(*percentages: float) -> PaperRow:
    return dict(zip(SEGMENTER_METRICS, percentages, strict=True))


TABLE3: Final[Mapping[str, PaperRow]] = {
    "SegNet": _table3(43.48, 60.60, 50.00, 76.92),
    "U-Net": _table3(54.05, 70.17, 68.50, 71.94),
    "DeepLabV3": _table3(70.42, 82.64, 81.96, 83.33),
    "HMSANet": _table3(74.63, 85.47, 84.03, 86.96),
}
"""Table 3, by architecture (see `architecture`). It does not say which DeepLabV3."""

TABLE3_NOTE: Final = (
    "The paper's precision and recall are as printed; they are probably exchanged (`mgajax/"
    "evaluation/segmentation_counts.py` tells why)."
)


def _table4(*percentages: float) -> PaperRow:
    return dict(zip(CLASSIFIER_METRICS, percentages, strict=True))


TABLE4: Final[Mapping[str, PaperRow]] = {
    "resnet18": _table4(93.05, 91.22, 85.63, 97.60, 97.86),
    "resnet50": _table4(93.86, 92.34, 87.74, 97.45, 97.90),
    "densenet121": _table4(93.37, 91.71, 86.97, 97.00, 98.24),
    "resnet18_cbam": _table4(94.26, 92.93, 89.46, 96.69, 98.41),
    "mga_resnet18": _table4(95.15, 94.07, 91.05, 97.30, 98.59),
}
"""Table 4, by registered model."""

TABLE5: Final[Mapping[str, PaperRow]] = {
    "stage1": _table4(94.65, 93.49, 90.86, 96.29, 98.08),
    "stage2": _table4(94.82, 93.71, 91.25, 96.30, 98.56),
    "stage3": _table4(95.15, 94.07, 91.05, 97.30, 98.59),
}
"""Table 5: the proposed model, by the stage whose attention the mask guides."""

BATCH: Final = 32
"""Section 5.2: slices a training step of a classifier."""


def model_name(model: str) -> str:
    """How a registered model is written: "U-Net" for "unet"; other texts as they are."""
    return MODEL_NAMES.get(model, model)


def architecture(model: str) -> str:
    """The name that Table 3 gives to an architecture: "DeepLabV3" for both of ours."""
    return model_name(model).split(" (")[0]
