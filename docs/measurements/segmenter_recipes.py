"""Validation Dice of segmenters that learned the same slices by different recipes.

    python docs/measurements/segmenter_recipes.py RUN [RUN ...] --out docs/measurements/segmenter_recipes.json

Reads finished runs, such as those that `mgajax experiment real --config.hmsanet.KEY=VALUE` leaves in
`--runs`. A row is named by the network and by the keys in which its run differs from the first run of that
network. The numbers are validation Dice of each epoch, so no test slice has a say.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mgajax.files import write_json
from mgajax.paper import model_name
from mgajax.reporting.tables.measurements import Measurement
from mgajax.training.metrics_log import METRICS_FILE, read_rows

TABLE = "Validation Dice by recipe"
REACHED = 0.3


def main() -> None:
    """Read every run, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()

    records = [json.loads((run / "config.json").read_text()) for run in options.runs]
    keys = [_flat(record["config"]) for record in records]
    for other in records[1:]:
        for key in ("data_fingerprint", "split"):
            if other[key] != records[0][key]:
                raise SystemExit(f"{key}: {other[key]} and {records[0][key]}: expected the same")
    first = {name: _first(keys, name) for name in {each["model.name"] for each in keys}}
    rows = [
        row
        for run, each in zip(options.runs, keys, strict=True)
        for row in measure(run, name=_name(each, first[each["model.name"]]))
    ]
    for row in rows:
        print(f"{row.name}: {row.metric} {row.value}")
    content = {
        "what": "validation Dice of runs on the same slices, seed 0",
        "split": records[0]["split"],
        "data_fingerprint": records[0]["data_fingerprint"],
        "provenance": records[-1]["provenance"],
        "rows": [row.to_json() for row in rows],
    }
    write_json(content, options.out)


def measure(run: Path, *, name: str) -> list[Measurement]:
    """The best and the last validation Dice, and the step at which it was first 0.3."""
    logged = [row for row in read_rows(run / METRICS_FILE) if "validation/dice" in row]
    dice = {int(row["step"]): float(row["validation/dice"]) for row in logged}
    reached = [step for step, value in dice.items() if value >= REACHED]
    first = float(reached[0]) if reached else None
    return [
        Measurement(TABLE, name, "best", max(dice.values())),
        Measurement(TABLE, name, "last", dice[max(dice)]),
        Measurement(TABLE, name, "0.3 at step", first, scale="number"),
        Measurement(TABLE, name, "steps", float(max(dice)), scale="number"),
    ]


def _name(keys: Mapping[str, Any], first: Mapping[str, Any]) -> str:
    """The network, and what its recipe changes; where a run starts is told, not its path."""
    changed = [
        f"{key.rsplit('.', 1)[-1]} {value}" if key != "init_from" else "from drawn slices"
        for key, value in keys.items()
        if value != first.get(key)
    ]
    return ", ".join([model_name(keys["model.name"]), *changed])


def _first(keys: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(each for each in keys if each["model.name"] == name)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        flat |= _flat(value, f"{path}.") if isinstance(value, dict) else {path: value}
    return flat


if __name__ == "__main__":
    main()
