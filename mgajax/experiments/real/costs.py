"""Size and cost of the trained networks."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence

from mgajax.experiments.execution import peak_memory_of, seconds_of
from mgajax.experiments.plan import PlannedRun
from mgajax.experiments.real.arms import Arm
from mgajax.reporting.tables.measurements import Measurement
from mgajax.training.loop import PARAMETERS_FILE, SUMMARY_FILE

TABLE = "What was trained, a run"


def cost_rows(
    arms: Iterable[tuple[Arm, Mapping[int, Sequence[PlannedRun]]]],
) -> list[Measurement]:
    """Parameters, pixels, batch size, steps, mean seconds and highest peak memory of each arm."""
    rows = []
    for arm, by_seed in arms:
        runs = [run for folds in by_seed.values() for run in folds]
        if not runs:
            continue
        config = runs[0].config
        seconds = [took for run in runs if (took := seconds_of(run)) is not None]
        peaks = [peak for run in runs if (peak := peak_memory_of(run)) is not None]
        summary = json.loads((runs[0].folder / SUMMARY_FILE).read_text(encoding="utf-8"))
        values: dict[str, float | None] = {
            "Parameters": parameters(runs[0]),
            "Pixels a side": config.preparation.image_size,
            "Slices a step": config.batch_size,
            "Steps": summary["steps"],
            "Seconds": round(statistics.mean(seconds)) if seconds else None,
            "Peak memory, MiB": round(max(peaks) / 2**20) if peaks else None,
        }
        rows += [
            Measurement(
                TABLE,
                arm.name,
                heading,
                value=None if value is None else float(value),
                scale="number",
            )
            for heading, value in values.items()
        ]
    return rows


def parameters(run: PlannedRun) -> int | None:
    """Number of parameters of a run's network, from its `parameters.txt`; None where that is missing."""
    try:
        last = (run.folder / PARAMETERS_FILE).read_text(encoding="utf-8").splitlines()[-1]
        return int(last.split(" ")[0].replace(",", ""))
    except (OSError, ValueError, IndexError):
        return None
