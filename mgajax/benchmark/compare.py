"""Two results of one benchmark side by side."""

import json
from pathlib import Path
from typing import Any

from mgajax.errors import ConfigError, DataError

FIGURES = {
    "step": (
        "train.p50_ms",
        "train.p90_ms",
        "train.images_per_s_per_device",
        "train.compile.wall_s",
        "train.memory.intermediate_bytes",
        "train.memory.peak_bytes",
        "train.mfu",
        "train.ratio",
        "eval.p50_ms",
        "eval.p90_ms",
        "eval.images_per_s_per_device",
        "eval.compile.wall_s",
        "eval.ratio",
    ),
    "input": ("real_ms", "fixed_ms", "ratio"),
    "compile": tuple(
        f"{kind}.{name}"
        for kind in ("train", "eval")
        for name in (
            "memory.needed_bytes",
            "memory.temporaries_bytes",
            "moved.bytes",
            "moved.padded_bytes",
            "flops_per_device",
            "priced.ms",
            "priced.unpriced_ms",
            "mfu_bound",
            "collectives.all-reduce.count",
            "collectives.all-reduce.bytes",
            "collectives.all-gather.count",
            "collectives.all-gather.bytes",
            "trace_and_lower.wall_s",
            "compile.wall_s",
        )
    ),
}
"""By benchmark, the figures that are compared."""
SUBJECT = (
    "model",
    "options",
    "dtype",
    "batch_size",
    "image_size",
    "augmentation",
    "residence",
    "parallel",
    "devices",
    "cpu_threads",
    "target",
    "effort",
)
"""What must be equal for a ratio to mean something, where a benchmark states it."""


def compare(first: Path, second: Path, *, differing: str = "refused") -> dict[str, Any]:
    """The figures of two files of one benchmark, and A / B of each.

    Args:
      first: a JSON file of `mgajax benchmark ... --out`, A.
      second: another, B.
      differing: "refused" or "allowed": what to do where the subjects (model, devices, batch, ...)
        differ. Versions may always differ; they are told.

    Raises:
      DataError: a file is missing, damaged or of no benchmark that can be compared.
      ConfigError: the files are of two benchmarks, or of two subjects and that is refused.
    """
    a, b = _read(first), _read(second)
    benchmark = a["benchmark"]
    if b["benchmark"] != benchmark:
        raise ConfigError(f"{first} is of benchmark {benchmark}, {second} of {b['benchmark']}")
    differences = _differences(a, b, SUBJECT)
    if differences and differing == "refused":
        listing = "; ".join(f"{key} {d['a']!r} and {d['b']!r}" for key, d in differences.items())
        raise ConfigError(
            f"{first} and {second} measured different things: {listing}; "
            "add --anyway to compare them nevertheless"
        )
    versions = sorted(a["provenance"].keys() | b["provenance"].keys())
    figures = {}
    for name in FIGURES[benchmark]:
        value_a, value_b = _at(a, name), _at(b, name)
        if value_a is not None and value_b:
            figures[name] = {"a": value_a, "b": value_b, "ratio": value_a / value_b}
    return {
        "what": f"benchmark {benchmark}, A = {first}, B = {second}",
        "differences": differences,
        "versions": _differences(a["provenance"], b["provenance"], tuple(versions)),
        "figures": figures,
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        report: dict[str, Any] = json.loads(path.read_text())
        benchmark = report["benchmark"]
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; give what `benchmark --out` wrote") from None
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path}: not a result of `mgajax benchmark --out`") from None
    if benchmark not in FIGURES:
        raise DataError(f"{path}: benchmark {benchmark!r}; {', '.join(FIGURES)} can be compared")
    return report


def _differences(
    a: dict[str, Any], b: dict[str, Any], keys: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    pairs = {key: (a.get(key), b.get(key)) for key in keys}
    return {
        key: {"a": value_a, "b": value_b}
        for key, (value_a, value_b) in pairs.items()
        if value_a != value_b
    }


def _at(tree: Any, path: str) -> int | float | None:
    for key in path.split("."):
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree
