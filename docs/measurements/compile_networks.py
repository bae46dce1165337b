"""All networks compiled for a TPU and a GPU that are not there: what fits, and how long it takes.

    python docs/measurements/compile_networks.py --target v5e:1x1 --out compile_networks.json
    python docs/measurements/compile_networks.py --target h100:1 --out compile_networks.json

A row is a process of its own, `mgajax benchmark compile --quick` of one network, type and step at its
configuration's image size, 32 images (classifiers) or 1 (segmenters; DeepLabV3 needs 2). The file keeps
each row as soon as it ends, with its command; the same command again goes on with those that are
missing. At the end a table.

`--per_device 40` compiles another batch: does the estimate of the batch that fits hold?
"""

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mgajax.benchmark.chips import CHIPS
from mgajax.benchmark.tables import align
from mgajax.benchmark.targets import parse_target
from mgajax.distributed.supervision import last_line, run

ROOT = Path(__file__).resolve().parents[2]

CLASSIFIERS = ("resnet18", "resnet18_cbam", "mga_resnet18", "resnet50", "densenet121")
SEGMENTERS = ("unet", "segnet", "deeplabv3", "hmsanet")
# DeepLabV3's pooled branch cannot normalise one image.
IMAGES = {**dict.fromkeys(CLASSIFIERS, 32), "deeplabv3": 2}
# Unrolled, HMSANet-W48 compiles several times longer.
SCANNED = {"model.options.repeats": "scanned"}
KEYS: Mapping[str, Mapping[str, object]] = {
    "hmsanet": SCANNED,
    "hmsanet_remat": {**SCANNED, "model.options.remat": "modules"},
    "hmsanet_unrolled": {"model.options.repeats": "unrolled"},
    "hmsanet_unrolled_remat": {
        "model.options.repeats": "unrolled",
        "model.options.remat": "modules",
    },
}
CONFIGS = (
    {name: f"configs/classification/{name}.py" for name in CLASSIFIERS}
    | {name: f"configs/segmentation/{name}.py" for name in SEGMENTERS}
    | dict.fromkeys(KEYS, "configs/segmentation/hmsanet.py")
)
KEPT = ("model", "options", "dtype", "image_size", "batch_size", "target", "effort", "provenance")
STEP_KEPT = ("trace_and_lower", "compile", "memory")
"""Keys of a report, and of its step, that a row keeps."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One network, type, step, target and images a device."""

    network: str
    dtype: str
    step: str
    target: str
    images: int

    @property
    def name(self) -> str:
        """Its key in the file."""
        return f"{self.network} {self.dtype} {self.step} {self.target} {self.images}"

    def words(self) -> list[str]:
        """Of its command, but for `--out`."""
        keys = {"model.dtype": self.dtype, **KEYS.get(self.network, {})}
        return [
            *("benchmark", "compile", "--config", CONFIGS[self.network], "--target", self.target),
            *("--quick", "--only", self.step, "--per_device", str(self.images)),
            *(f"--config.{key}={value}" for key, value in keys.items()),
        ]


def run_row(row: Row, *, most_s: float, log: Path) -> dict[str, Any]:
    """What is kept of a row, or under `failed` why there is nothing."""
    words = row.words()
    record = {"command": " ".join(("mgajax", *words))}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "row.json"
        command = [sys.executable, "-m", "mgajax", *words, "--out", str(out)]
        try:
            ending = run(command, log=log, limit_s=most_s, folder=ROOT)
        except TimeoutError:
            return record | {"failed": f"killed after {most_s:.0f} s"}
        if not out.exists():
            return record | {"failed": last_line(log)[:300]}
        report = json.loads(out.read_text())
    step = {key: report[row.step][key] for key in STEP_KEPT if key in report[row.step]}
    if parse_target(row.target).platform == "cuda":
        # A TPU's program does not say how often its loops run.
        step["moved_bytes"] = report[row.step].get("moved", {}).get("bytes")
    spent = {"cpu_s": ending.cpu_s, "host_peak_bytes": ending.peak_bytes}
    return record | {key: report[key] for key in KEPT} | spent | {row.step: step}


def lines_of(rows: Mapping[str, Any]) -> list[str]:
    """What the file holds, for the terminal."""
    header = ("", "GB needed", "fits", "batch that fits", "trace CPU s", "compile CPU s")
    table: list[Sequence[str]] = [(*header, "host GB")]
    failed = [f"  {name}: {row['failed']}" for name, row in rows.items() if "failed" in row]
    for name, row in rows.items():
        if "failed" in row:
            continue
        (step,) = (row[kind] for kind in ("train", "eval") if kind in row)
        memory, images = step["memory"], row["batch_size"]
        table.append(
            (
                name,
                f"{memory['needed_bytes'] / 1e9:.2f}",
                "yes" if memory["fits"] else "NO",
                _that_fit(memory, images=images, target=row["target"]),
                f"{step['trace_and_lower']['cpu_s']:.0f}",
                f"{step['compile']['cpu_s']:.0f}",
                f"{row['host_peak_bytes'] / 1e9:.1f}",
            )
        )
    return [*align(table), *failed]


def _that_fit(memory: Mapping[str, Any], *, images: int, target: str) -> str:
    """The command's estimate for the target, and the same for the other chips of its maker."""
    target_chip = parse_target(target).chip
    batches = [f"{target.partition(':')[0]} {memory['batch_that_fits']}"]
    for chip in CHIPS if "arguments_bytes" in memory else ():
        if (
            chip.target
            and target_chip
            and chip != target_chip
            and (chip.gpu is None) == (target_chip.gpu is None)
        ):
            # The arguments are the state, but for some kilobytes of images.
            state = memory["arguments_bytes"]
            room, image_bytes = chip.memory_bytes - state, (memory["needed_bytes"] - state) / images
            batches.append(f"{chip.target} {int(room / image_bytes)}")
    return ", ".join(batches)


def main() -> int:
    """Fill the file and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    networks = (*CLASSIFIERS, *SEGMENTERS, "hmsanet_remat")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--target", required=True, metavar="NAME", help="of one device: v5e:1x1")
    parser.add_argument("--networks", default=",".join(networks), metavar="A,B", help="in order")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--only", default="train", choices=("train", "eval"))
    parser.add_argument("--per_device", type=int, metavar="N", help="images instead of 32 or 1")
    parser.add_argument("--most", type=float, default=25.0, help="minutes for one row")
    options = parser.parse_args()
    names = options.networks.split(",")
    if unknown := set(names) - set(CONFIGS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; networks: {', '.join(CONFIGS)}")
    rows = json.loads(options.out.read_text()) if options.out.exists() else {}
    for name in names:
        images = options.per_device or IMAGES.get(name, 1)
        row = Row(name, options.dtype, options.only, options.target, images)
        if row.name not in rows:
            log = options.out.with_suffix(".log")
            rows[row.name] = run_row(row, most_s=60 * options.most, log=log)
            options.out.write_text(json.dumps(rows, indent=1) + "\n")
        print(row.name, "ended", flush=True)
    print(*lines_of(rows), sep="\n")
    return 1 if any("failed" in row for row in rows.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
