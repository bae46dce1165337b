"""Our steps beside PyTorch's on one GPU: as many networks as a time allows, the most important first.

    python docs/measurements/gpu_table.py --out step_gpu.json [--minutes 12]

A row is a process of its own, `mgajax benchmark step --peer torch`, of one network, type and step. The
file keeps each row as soon as it ends; the same command again goes on with those that are missing. No
row begins that is not expected to end in time, and one that overruns is killed. What the rows print
goes to a file beside the other, `step_gpu.log`. At the end a table.

`--config.KEY=VALUE` goes to every row. `--trial` makes everything small, to try this script on a CPU.
"""

import argparse
import dataclasses
import json
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mgajax.benchmark.tables import align
from mgajax.distributed.supervision import describe_exit, last_line
from mgajax.distributed.supervision import run as run_program

ROOT = Path(__file__).resolve().parents[2]

STEP_KINDS, DTYPES = ("train", "eval"), ("float32", "bfloat16")
MODES = "cuda_graph,compiled_cuda_graphs"
"""The likeliest last: if the last one tried is the fastest, it is not prepared again."""


@dataclasses.dataclass(frozen=True)
class Network:
    """What is special to one: its file in `configs`, keys, PyTorch's modes, and keys under `--trial`."""

    config: str
    keys: Mapping[str, object] = dataclasses.field(default_factory=dict)
    modes: str = MODES
    small: Mapping[str, object] = dataclasses.field(default_factory=dict)


NETWORKS = {
    "mga_resnet18": Network("classification/mga_resnet18"),
    # Unrolled, or under torch.compile, it compiles for longer than all other rows together may take.
    "hmsanet": Network(
        "segmentation/hmsanet",
        keys={"model.options.repeats": "scanned", "batch_size": 2},
        modes="channels_last,cuda_graph",
        small={"model.options.trunk": "hrnet_tiny"},
    ),
    "resnet18": Network("classification/resnet18"),
    "resnet50": Network("classification/resnet50"),
    "unet": Network("segmentation/unet"),
    "densenet121": Network("classification/densenet121"),
    "deeplabv3": Network("segmentation/deeplabv3"),
    "segnet": Network("segmentation/segnet"),
}
"""In the order of their importance; batches and sides are those of the configurations."""
TRIAL = {"preparation.image_size": 64, "batch_size": 4}
TRIAL_MODES, TRIAL_STEPS = "channels_last", 4


@dataclasses.dataclass(frozen=True)
class Row:
    """One network, type and step."""

    network: str
    dtype: str
    step: str

    @property
    def name(self) -> str:
        """Its key in the file."""
        return f"{self.network} {self.dtype} {self.step}"


class RowError(Exception):
    """A row's process ended without a result; its last line."""


def plan(networks: Sequence[str]) -> list[Row]:
    """All rows, train steps before evaluation, float32 before bfloat16, but both of the first network."""
    rows = [Row(name, dtype, step) for step in STEP_KINDS for dtype in DTYPES for name in networks]
    return sorted(rows, key=lambda row: (STEP_KINDS.index(row.step), row.network != networks[0]))


def command(row: Row, *, options: argparse.Namespace, overrides: Sequence[str]) -> list[str]:
    """The words of a row's process, but for `--out`."""
    network = NETWORKS[row.network]
    keys = {"model.dtype": row.dtype, "devices": 1, **network.keys}
    steps, modes = options.steps, network.modes
    if options.trial:
        keys |= {**TRIAL, **network.small}
        steps, modes = TRIAL_STEPS, TRIAL_MODES
    return [
        *(sys.executable, "-m", "mgajax", "benchmark", "step"),
        *("--config", f"configs/{network.config}.py", "--only", row.step, "--steps", str(steps)),
        *("--peer", "torch", "--peer_python", str(options.peer_python.absolute())),
        *("--peer_modes", options.peer_modes or modes),
        *(f"--config.{key}={value}" for key, value in keys.items()),
        *overrides,
    ]


def run_row(words: Sequence[str], limit_s: float, *, log: Path) -> dict[str, Any]:
    """The report of a process that writes it to `--out`; all that it prints is added to `log`.

    Raises:
      TimeoutError: it took longer, and was killed with all that it began.
      RowError: it ended without a report.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "row.json"
        ending = run_program(
            [*words, "--out", str(out)],
            log=log,
            limit_s=limit_s,
            folder=ROOT,
            environment={"JAX_TRACEBACK_FILTERING": "off"},  # the error comes last then
        )
        if ending.code != 0 or not out.exists():
            raise RowError(f"{describe_exit(ending.code)}: {last_line(log)[:200]}")
        report: dict[str, Any] = json.loads(out.read_text())
        return report


def expected_s(row: Row, row_seconds: Mapping[str, float]) -> float:
    """What a row should take: as its network's in the other type; or its other step; or the median."""
    for form in (f"{row.network} * {row.step}", f"{row.network} * *", "* * *"):
        times = [taken_s for name, taken_s in row_seconds.items() if _matches(name, form)]
        if times:
            return statistics.median(times)
    return 0.0


def _matches(name: str, form: str) -> bool:
    pairs = zip(name.split(), form.split(), strict=True)
    return all(pattern in ("*", word) for word, pattern in pairs)


def fill(
    out: Path,
    rows: Sequence[Row],
    *,
    settings: Mapping[str, Any],
    run: Callable[[Row, float], dict[str, Any]],
    limit_s: float,
    most_s: float,
    now: Callable[[], float] = time.monotonic,
) -> int:
    """Run the rows that `out` lacks, as far as the time goes.

    Args:
      out: the file; rows of other settings are not added to.
      rows: in order.
      settings: what all rows share.
      run: gives a row's report within so many seconds, or raises as `run_row` does.
      limit_s: for all.
      most_s: for one.
      now: a clock, in seconds.

    Returns:
      How many failed.
    """
    ends, table = now() + limit_s, _read(out, settings)
    failed, overran = 0, set[tuple[str, str]]()
    for row in rows:
        if row.name in table["rows"]:
            _tell(row, "there already")
            continue
        began = now()
        remaining = ends - began
        expected = expected_s(
            row, {name: done_report["row_s"] for name, done_report in table["rows"].items()}
        )
        same = (row.network, row.step)
        if remaining <= expected or same in overran:
            reason = (
                "overran in the other type" if same in overran else f"{expected:.0f} s expected"
            )
            _tell(row, f"left out: {reason}, {max(remaining, 0):.0f} s left")
            continue
        try:
            report = run(row, min(remaining, most_s))
        except TimeoutError:
            overran.add(same)
            _tell(row, f"left out: killed after {now() - began:.0f} s")
        except RowError as error:
            failed += 1
            _tell(row, f"failed after {now() - began:.0f} s: {error}")
        else:
            table["rows"][row.name] = {"row_s": now() - began, **report}
            _write(out, table)
            _tell(row, f"done in {now() - began:.0f} s")
    return failed


def _read(out: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    if not out.exists():
        return {"settings": dict(settings), "rows": {}}
    try:
        table: dict[str, Any] = json.loads(out.read_text())
        recorded, _ = table["settings"], table["rows"]
    except (ValueError, TypeError, KeyError) as error:
        sys.exit(f"{out} is no table of this script ({error!r}); name another --out")
    if recorded != settings:
        sys.exit(f"{out} has rows of other settings, {recorded}; name another --out")
    return table


def _tell(row: Row, line: str) -> None:
    print(f"{row.name}: {line}", flush=True)


def _write(out: Path, table: Mapping[str, Any]) -> None:
    # As `mgajax.files.write_json`, which needs more packages than steps do.
    partial = out.with_suffix(".partial")
    partial.write_text(json.dumps(table, indent=1) + "\n")
    partial.replace(out)


def lines_of(table: Mapping[str, Any]) -> list[str]:
    """What the file holds, for the terminal."""
    header = ("", "batch", "ms", "torch ms", "torch / mgajax", "blocks", "mode", "MFU", "compile s")
    rows: list[Sequence[str]] = [header]
    notes = []
    for name, report in table["rows"].items():
        (measured,) = (report[kind] for kind in STEP_KINDS if kind in report)
        peer, ratios = measured["peer"], measured["block_ratios"]
        rows.append(
            (
                name,
                f"{report['batch_size']} × {report['image_size']}²",
                f"{measured['p50_ms']:.2f}",
                f"{peer['p50_ms']:.2f}",
                f"{measured['ratio']:.3f}",
                f"{min(ratios):.3f} to {max(ratios):.3f}",
                peer["mode"],
                "-" if measured["mfu"] is None else f"{measured['mfu']:.1%}",
                f"{measured['trace_and_lower']['wall_s'] + measured['compile']['wall_s']:.0f}",
            )
        )
        for mode, tried in peer["tried"].items():
            if "failed" in tried:
                notes.append(f"  {name}: PyTorch's {mode} failed: {tried['failed']}")
    heads = {
        f"{report['peer']['device']}, jax {report['provenance']['jax']}, torch {report['peer']['torch']}"
        for report in table["rows"].values()
    }
    return [*sorted(heads), *align(rows), *notes, "  above 1: mgajax is faster"]


def main() -> int:
    """Fill the table and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE.json", help="made or gone on with"
    )
    parser.add_argument("--minutes", type=float, default=12.0, help="for all rows")
    parser.add_argument("--most", type=float, default=4.0, help="minutes for one row")
    parser.add_argument("--steps", type=int, default=40, help="steps timed each way")
    parser.add_argument("--networks", default=",".join(NETWORKS), metavar="A,B", help="in order")
    parser.add_argument("--peer_python", type=Path, default=Path(sys.executable), metavar="PYTHON")
    parser.add_argument("--peer_modes", default="", metavar="A,B", help="for all networks")
    parser.add_argument("--trial", action="store_true", help="everything small")
    options, overrides = parser.parse_known_args()
    networks = options.networks.split(",")
    unknown = [word for word in overrides if not word.startswith("--config.")]
    unknown += [name for name in networks if name not in NETWORKS]
    if unknown:
        parser.error(f"not understood: {', '.join(unknown)}; networks: {', '.join(NETWORKS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # a row's process is killed then, too
    options.out.parent.mkdir(parents=True, exist_ok=True)
    log = options.out.with_suffix(".log")

    def run(row: Row, limit_s: float) -> dict[str, Any]:
        words = command(row, options=options, overrides=overrides)
        return run_row(words, limit_s, log=log)

    failed = fill(
        options.out,
        plan(networks),
        settings={key: getattr(options, key) for key in ("steps", "peer_modes", "trial")}
        | {"overrides": overrides},
        run=run,
        limit_s=60 * options.minutes,
        most_s=60 * options.most,
    )
    if options.out.exists():
        print(*lines_of(json.loads(options.out.read_text())), sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
