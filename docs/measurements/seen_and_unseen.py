"""Pooled Dice on people whom a segmenter learned from, and on people whom it never saw.

    mgajax evaluate --workdir RUN --split train        (each run)
    python docs/measurements/seen_and_unseen.py "U-Net, random weights=RUN,RUN,RUN" ... \
        --out docs/measurements/seen_and_unseen.json

Reads finished runs of all folds, such as those that `mgajax experiment real` leaves in `--runs`, and adds
the pixels of their folds. What both say tells whether a network is too small or trained too briefly, or
whether there were too few people.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mgajax.evaluation.segmentation_counts import overlap_scores
from mgajax.files import write_json
from mgajax.reporting.tables.measurements import Measurement

TABLE = "Pooled Dice of people learned from and of others"

SPLITS = {"learned from": "train", "never seen": "test"}

ALL = "all sources"


def main() -> None:
    """Read every run, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="+", metavar="NAME=RUN,RUN,…")
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()

    networks = {
        name: [Path(run) for run in runs.split(",")]
        for name, _, runs in (text.rpartition("=") for text in options.networks)
    }
    records = [json.loads((runs[0] / "config.json").read_text()) for runs in networks.values()]
    rows = [row for name, runs in networks.items() for row in measure(runs, name=name)]
    for row in rows:
        print(f"{row.name}: {row.metric} {row.value}")
    content = {
        "what": "pooled Dice over the slices of all folds, Normal ones too, best checkpoint of each run",
        "seeds": sorted({record["config"]["seed"] for record in records}),
        "steps": sorted({record["config"]["max_steps"] for record in records}),
        "provenance": records[-1]["provenance"],
        "rows": [row.to_json() for row in rows],
    }
    write_json(content, options.out)


def measure(runs: Sequence[Path], *, name: str) -> list[Measurement]:
    """Dice by source and split; a source without a lesion has none."""
    rows = []
    for title, split in SPLITS.items():
        found = [json.loads((run / "evaluation" / f"{split}.json").read_text()) for run in runs]
        sources = sorted({source for fold in found for source in fold["per_source"]})
        pixels = {ALL: [fold["pooled"] for fold in found]} | {
            source: [
                fold["per_source"][source]["pooled"]
                for fold in found
                if source in fold["per_source"]
            ]
            for source in sources
        }
        rows += [
            Measurement(TABLE, name, f"{source}, {title}", dice)
            for source, counts in pixels.items()
            if (dice := pooled_dice(counts)) is not None
        ]
    return sorted(rows, key=lambda row: row.metric)


def pooled_dice(counts: Sequence[dict[str, float]]) -> float | None:
    """Of all pixels together; None where none is a lesion."""
    hits, extra, missed = (
        np.sum([count[key] for count in counts])
        for key in ("true_positive", "false_positive", "false_negative")
    )
    return float(overlap_scores(hits, extra, missed)["dice"]) if hits + missed else None


if __name__ == "__main__":
    main()
