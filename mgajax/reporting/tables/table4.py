"""The paper's Table 4: what it reports of each classifier, and how the models are written."""

METRICS = {
    "accuracy": "Accuracy",
    "f1": "F1",
    "recall": "Recall",
    "precision": "Precision",
    "roc_auc": "ROC AUC",
}
"""By their names in `covid_vs_rest` of a report, in the order of the table."""

NAMES = {
    "resnet18": "ResNet18",
    "resnet50": "ResNet50",
    "densenet121": "DenseNet121",
    "resnet18_cbam": "ResNet18 + CBAM",
    "mga_resnet18": "ResNet18 + CBAM + MGA",
}
"""How the registered classifiers are written, in the order of the table."""

PAPER = {
    "resnet18": {
        "accuracy": 93.05,
        "f1": 91.22,
        "recall": 85.63,
        "precision": 97.60,
        "roc_auc": 97.86,
    },
    "resnet50": {
        "accuracy": 93.86,
        "f1": 92.34,
        "recall": 87.74,
        "precision": 97.45,
        "roc_auc": 97.90,
    },
    "densenet121": {
        "accuracy": 93.37,
        "f1": 91.71,
        "recall": 86.97,
        "precision": 97.00,
        "roc_auc": 98.24,
    },
    "resnet18_cbam": {
        "accuracy": 94.26,
        "f1": 92.93,
        "recall": 89.46,
        "precision": 96.69,
        "roc_auc": 98.41,
    },
    "mga_resnet18": {
        "accuracy": 95.15,
        "f1": 94.07,
        "recall": 91.05,
        "precision": 97.30,
        "roc_auc": 98.59,
    },
}
"""Table 4 of the paper in percent, COVID-19 against the rest, as printed."""
