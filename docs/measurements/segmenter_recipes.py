"""Validation Dice, by source, of segmenters that learned the same slices by different recipes.

    mgajax evaluate --workdir RUN --split validation        (each run)
    python docs/measurements/segmenter_recipes.py "HMSANet, as published=RUN" ... \
        --out docs/measurements/segmenter_recipes.json

Reads finished runs, such as those that `mgajax experiment real --config.hmsanet.KEY=VALUE` leaves in
`--runs`. The numbers are those of validation slices, so that no test slice has a say in a recipe.
"""

import argparse
import json
import math
import statistics
from pathlib import Path

from mgajax.errors import DataError
from mgajax.experiments.real.segmenters import REACHED, first_step, validation_dice
from mgajax.files import write_json
from mgajax.reporting.tables.measurements import Measurement

TABLE = "Validation Dice by recipe"


def main() -> None:
    """Read every run, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN")
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()

    runs = {name: Path(run) for name, _, run in (text.rpartition("=") for text in options.runs)}
    records = [json.loads((run / "config.json").read_text()) for run in runs.values()]
    for key in ("data_fingerprint", "split"):
        if len({record[key] for record in records}) > 1:
            raise DataError(f"{key}: the runs have several; expected one set and one split")
    rows = [row for name, run in runs.items() for row in measure(run, name=name)]
    for row in rows:
        print(f"{row.name}: {row.metric} {row.value}")
    content = {
        "what": "pooled Dice of the validation slices, best checkpoint of each run",
        "seeds": sorted({record["config"]["seed"] for record in records}),
        "split": records[0]["split"],
        "data_fingerprint": records[0]["data_fingerprint"],
        "provenance": records[-1]["provenance"],
        "rows": [row.to_json() for row in rows],
    }
    write_json(content, options.out)


def measure(run: Path, *, name: str) -> list[Measurement]:
    """Pooled Dice over all validation slices and by source, their mean, and the step of a Dice of 0.3."""
    found = json.loads((run / "evaluation" / "validation.json").read_text())
    dice = {
        source: scores["pooled"]["dice"]
        for source, scores in found["per_source"].items()
        if scores["pooled"]["true_positive"] + scores["pooled"]["false_negative"]
    }
    reached = first_step(run)
    return [
        Measurement(TABLE, name, "steps", float(max(validation_dice(run))), scale="number"),
        Measurement(TABLE, name, "all sources", found["pooled"]["dice"]),
        *(Measurement(TABLE, name, source, value) for source, value in dice.items()),
        Measurement(TABLE, name, "mean of sources", statistics.fmean(dice.values())),
        Measurement(
            TABLE,
            name,
            f"{REACHED} at step",
            reached if math.isfinite(reached) else None,
            scale="number",
        ),
    ]


if __name__ == "__main__":
    main()
