"""What coarse output can hold of a lesion: true masks made coarse and brought back.

    python docs/measurements/resolution_bound.py --data DIR --out docs/measurements/resolution_bound.json

A mask of the network's size is averaged over cells of `stride` x `stride` pixels, brought back linearly and
cut, at a half and at the threshold that is best for all pixels pooled; then it is compared with itself. A
network need not put out averages, so this is no strict bound, but the order of what is lost. (HMSANet's
stride is 4, DeepLabV3's 8; U-Net and SegNet have each pixel.)
"""

import argparse
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float, UInt8

from mgajax import config as configs
from mgajax.config import segmentation
from mgajax.data.cache import open_prepared_set
from mgajax.data.preparation import Preparation
from mgajax.evaluation.segmentation_counts import overlap_scores
from mgajax.files import write_json
from mgajax.schema import MASK_ORIGINS

HALF = 0.5
THRESHOLDS = [round(0.05 * number, 2) for number in range(2, 13)]
EVERY = "all"


def main() -> None:
    """Measure every stride, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="a built set with annotated masks")
    parser.add_argument(
        "--size", type=int, default=128, help="pixels a side, as the network gets them"
    )
    parser.add_argument("--strides", type=int, nargs="+", default=[2, 4, 8, 16])
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    config = segmentation("hmsanet")
    config.preparation.image_size = arguments.size
    prepared = open_prepared_set(
        arguments.data, settings=Preparation(**config.preparation), cache_dir=None
    )
    rows = np.flatnonzero(prepared.table.mask_origins == MASK_ORIGINS[1])
    masks, sources = np.array(prepared.masks[rows]), prepared.table.sources[rows]
    content = {
        "size": arguments.size,
        "slices": {
            source: int((sources == source).sum()) for source in np.unique(sources).tolist()
        },
        "dice": {
            str(stride): measure(masks, coarse(masks, stride=stride), sources)
            for stride in arguments.strides
        },
        "provenance": configs.provenance(),
    }
    write_json(content, arguments.out)
    print(json.dumps(content["dice"], indent=2))


def coarse(masks: UInt8[np.ndarray, "n s s 1"], *, stride: int) -> Float[np.ndarray, "n s s 1"]:
    """The share of lesion in each cell, brought back to the pixels."""
    n, size = masks.shape[:2]
    cells = size // stride
    shares = (masks / 255.0).reshape(n, cells, stride, cells, stride, 1).mean(axis=(2, 4))
    return np.asarray(jax.image.resize(shares.astype(np.float32), masks.shape, "linear"))


def measure(
    masks: UInt8[np.ndarray, "n s s 1"], restored: Float[np.ndarray, "n s s 1"], sources: np.ndarray
) -> dict[str, Any]:
    """Pooled Dice by source, cut at a half and at the best threshold."""
    by_threshold = {
        threshold: pooled_dice(masks, restored >= threshold, sources) for threshold in THRESHOLDS
    }
    best = max(by_threshold, key=lambda threshold: by_threshold[threshold][EVERY])
    return {
        "at a half": by_threshold[HALF],
        "best threshold": best,
        "at the best": by_threshold[best],
    }


def pooled_dice(
    masks: UInt8[np.ndarray, "n s s 1"],
    predicted: Bool[np.ndarray, "n s s 1"],
    sources: np.ndarray,
) -> dict[str, float]:
    """Dice over all pixels of each source, and of all."""
    truth = masks >= HALF * 255
    scores = {}
    for name in [EVERY, *np.unique(sources).tolist()]:
        rows = np.ones(len(sources), bool) if name == EVERY else sources == name
        hits = np.sum(truth[rows] & predicted[rows])
        false, missed = predicted[rows].sum() - hits, truth[rows].sum() - hits
        scores[name] = round(float(overlap_scores(hits, false, missed)["dice"]), 4)
    return scores


if __name__ == "__main__":
    main()
