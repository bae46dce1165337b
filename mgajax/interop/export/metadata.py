"""Metadata of every exported file: how to prepare a slice, what comes out, where the weights are from."""

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mgajax import config as configs
from mgajax.config import CONFIG_FILE
from mgajax.data.loader import IMAGE_MEAN, IMAGE_STD
from mgajax.data.preparation import Preparation
from mgajax.interop.network import INPUT
from mgajax.reporting.tables.limits import NOTICE
from mgajax.schema import CLASS_NAMES
from mgajax.training.run_folder import SPLIT_FILE
from mgajax.training.run_setup import CHANNELS
from mgajax.training.tasks import TaskName
from mgajax.training.trained import TrainedNetwork

PIXEL_CLASSES = ("other", "lesion")


def metadata(trained: TrainedNetwork, *, workdir: Path) -> dict[str, Any]:
    """JSON values that describe a trained network to someone who has only its file.

    Raises:
      ConfigError: `workdir` holds no run.
    """
    config = trained.config
    side = config.preparation.image_size
    _, record = configs.read(workdir / CONFIG_FILE)
    segments = config.task == TaskName.SEGMENTATION
    return {
        "notice": NOTICE,
        "task": config.task,
        "model": {"name": config.model.name, "options": config.model.options.to_dict()},
        "class_names": list(PIXEL_CLASSES if segments else CLASS_NAMES),
        "input": {
            "name": INPUT,
            "dtype": "float32",
            "shape": ["batch", side, side, CHANNELS],
            "normalisation": {
                "formula": "(grey / 255 - mean) / std, grey from 0 to 255 after the preparation",
                "mean": IMAGE_MEAN,
                "std": IMAGE_STD,
            },
        },
        "preparation": asdict(Preparation(**config.preparation)),
        "training": {
            "step": trained.step,
            "activations": config.model.dtype,
            "seed": config.seed,
            "data_fingerprint": record.get("data_fingerprint"),
            "split": record.get("split"),
            "split_sha256": hashlib.sha256((workdir / SPLIT_FILE).read_bytes()).hexdigest(),
            "provenance": record.get("provenance"),
        },
        "exported_by": configs.provenance(),
    }
