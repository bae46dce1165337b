"""Folders as training, evaluation, explanation, experiments and searches leave them; drawn, not run."""

import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image

from mgajax import config as configs
from mgajax.evaluation import classification_metrics, segmentation_metrics
from mgajax.evaluation.predictions import Predictions
from mgajax.files import write_csv, write_json

ROWS = [
    {
        "step": 1,
        "train/loss": 1.0,
        "train/cross_entropy": 1.1,
        "train/images_per_s_per_device": 50.0,
    },
    {
        "step": 4,
        "train/loss": 0.5,
        "train/cross_entropy": 0.6,
        "train/images_per_s_per_device": 70.0,
    },
    {"step": 4, "validation/cross_entropy": 0.7, "validation/accuracy": 0.5},
]
SUMMARY = {
    "finished": True,
    "reason": "epochs",
    "steps": 4,
    "best_step": 4,
    "best": "validation cross-entropy 0.7000",
}


def begun(folder: Path, *, config: str = "classification/mga_resnet18.py") -> Path:
    """A run that has only just started."""
    folder.mkdir(parents=True)
    marks = {"data_fingerprint": "f" * 64, "split": "table2"}
    configs.write(configs.load(f"configs/{config}"), folder / "config.json", extra=marks)
    return folder


def trained(folder: Path, *, config: str = "classification/mga_resnet18.py") -> Path:
    """A run that was trained to its end, but not evaluated."""
    begun(folder, config=config)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    write_json(SUMMARY, folder / "summary.json")
    lines = [["file_name", "label", "patient", "source", "split"]]
    splits = ("train", "train", "validation", "test")
    lines += [[f"{i}.png", "CAP", f"jun/{i // 2}", "jun", name] for i, name in enumerate(splits)]
    write_csv(lines, folder / "split.csv")
    return folder


def picture(path: Path) -> Path:
    Image.new("RGB", (120, 60), "navy").save(path)
    return path


def classifier(folder: Path, *, name: str = "mga_resnet18", seed: int = 0) -> Path:
    """An evaluated classifier: 90 test slices of 30 patients."""
    trained(folder, config=f"classification/{name}.py")
    rng = np.random.default_rng(seed)
    labels = np.arange(90) % 3
    logits = rng.normal(size=(90, 3))
    logits[np.arange(90), labels] += 1.5
    chances = np.exp(logits)
    predictions = Predictions(
        file_names=np.array([f"{i}.png" for i in range(90)]),
        labels=labels,
        probabilities=chances / chances.sum(axis=1, keepdims=True),
        patients=np.array([f"zhao/{i % 30}" for i in range(90)]),
        sources=np.array(["zhao", "jun"])[np.arange(90) % 2],
        split="test",
    )
    (folder / "evaluation").mkdir()
    predictions.write_csv(folder / "evaluation" / "test_predictions.csv")
    measured = classification_metrics(
        predictions.probabilities,
        labels,
        predictions.patients,
        sources=predictions.sources,
        bootstrap=30,
    )
    head = {"task": "classification", "model": name, "split": "test", "split_leaks": False}
    write_json(head | measured, folder / "evaluation" / "test.json")
    picture(folder / "evaluation" / "test_attention.png")
    return folder


def other_set(folder: Path, *, name: str, leaks: bool = False) -> Path:
    """A classifier's results on another set: twelve slices of unknown patients, all called COVID-19."""
    labels = np.arange(12) % 2
    predictions = Predictions(
        file_names=np.array([f"{i}.png" for i in range(12)]),
        labels=labels,
        probabilities=np.tile([0.2, 0.7, 0.1], (12, 1)),
        patients=np.full(12, ""),
        sources=np.full(12, ""),
        split=name,
    )
    predictions.write_csv(folder / "evaluation" / f"{name}_predictions.csv")
    measured = classification_metrics(predictions.probabilities, labels, bootstrap=30)
    head = {"task": "classification", "model": "mga_resnet18", "set": name, "leaks": leaks}
    head |= {"set_kind": "folder of classes", "called": predictions.class_shares()}
    write_json(
        head | {"remarks": [f"What must be known of <{name}>."]} | measured,
        folder / "evaluation" / f"{name}.json",
    )
    return folder


def segmenter(folder: Path) -> Path:
    """An evaluated segmenter: twelve slices of six patients."""
    trained(folder, config="segmentation/unet.py")
    rng = np.random.default_rng(0)
    masks = rng.uniform(size=(12, 16, 16)) < 0.3
    predicted = masks ^ (rng.uniform(size=masks.shape) < 0.1)
    patients = [f"jun/{i // 2}" for i in range(12)]
    sources = ["jun", "zhao"] * 6
    measured = segmentation_metrics(predicted, masks, patients, sources=sources, bootstrap=30)
    head = {"task": "segmentation", "model": "unet", "split": "test", "split_leaks": False}
    (folder / "evaluation").mkdir()
    write_json(head | measured, folder / "evaluation" / "test.json")
    lines = [["file_name", "patient", "source", "dice"]]
    lines += [[f"{i}.png", patients[i], sources[i], 0.5 if i else ""] for i in range(12)]
    write_csv(lines, folder / "evaluation" / "test_slices.csv")
    picture(folder / "evaluation" / "test_panel.png")
    return folder


def explanation(folder: Path) -> Path:
    """What `mgajax explain` leaves, but for the maps."""
    folder.mkdir(parents=True)
    score = {"mean": 0.4, "low": 0.3, "high": 0.5}
    names = ("energy_in_lesion", "pointing_hit", "rank_auc", "top_10%_iou")
    methods = {"seconds_per_slice": 0.5, "includes_compilation": True, "largest_relative_gap": 1e-6}
    summary = {
        "slices": 5,
        "baseline": "black",
        "scores": {"a/run/Grad-CAM/positive": dict.fromkeys(names, score)},
        "methods": {"a/run/Grad-CAM": methods},
    }
    write_json(summary, folder / "summary.json")
    write_csv([["file_name", "rank_auc"], ["1.png", 0.4]], folder / "scores.csv")
    for name in ("maps", "overlays"):
        picture(folder / f"{name}.png")
    return folder


MARKDOWN = """# Table 4

Some <b>text</b>, a [link inside](table4.csv), one [outside](../secret.txt).

## Numbers

| model | accuracy |
|---|---:|
| MGA | 95 |

![](table4.png)
"""


def experiment(folder: Path) -> Path:
    """What `mgajax experiment` leaves, one of its runs failed."""
    folder.mkdir(parents=True)
    runs = [{"arm": "mga", "seed": 0, "status": "failed", "reason": "loss is nan"}]
    content = {
        "title": "Five classifiers",
        "source": "Paper, Table 4",
        "data": {"patients": 24, "size": 96},
        "command": "mgajax experiment table4",
        "seeds": [0],
        "runs": runs,
    }
    write_json(content | {"failed": 1, "provenance": {"jax": "0.10"}}, folder / "results.json")
    (folder / "table4.md").write_text(MARKDOWN)
    write_csv([["model", "accuracy"], ["MGA", 0.95]], folder / "table4.csv")
    picture(folder / "table4.png")
    return folder


def rows_of(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))
