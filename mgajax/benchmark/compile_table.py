"""What `measure_compile` found, as plain text for the terminal."""

from collections.abc import Sequence
from typing import Any

from mgajax.benchmark.tables import aligned, parts, subject

SMALLEST_SHARE = 0.005
"""Parts of the network below this share of the step are joined."""


def compile_table(report: dict[str, Any]) -> str:
    """The main numbers, and below them, by part, where the time should go."""
    header = ("", "fits", "GB", "of GB", "batch that fits", "GB moved", "padded", "GFLOP")
    rows: list[Sequence[str]] = [(*header, "priced ms", "MFU at most", "compile s")]
    rows += [_row(what, report[what]) for what in parts(report)]
    lines = [f"{subject(report)}, compiled for {report['target']}", *aligned(rows)]
    for what in parts(report):
        found = report[what]
        lines += _too_large(what, found["memory"])
        if found.get("priced"):
            lines += _price_lines(what, found["priced"])
        if found.get("collectives"):
            lines += _sent_lines(what, found["collectives"])
    return "\n".join(lines + _notes(report))


def _row(name: str, found: dict[str, Any]) -> tuple[str, ...]:
    memory, moved, prices = found["memory"], found.get("moved"), found.get("priced")
    flops, bound = found.get("flops_per_device"), found.get("mfu_bound")
    fits = {True: "yes", False: "NO", None: "-"}[memory["fits"]]
    room, batch = memory["available_bytes"], memory["batch_that_fits"]
    return (
        name,
        fits,
        _giga(memory["needed_bytes"]),
        "-" if room is None else _giga(room),
        "-" if batch is None else f"about {batch:,}",
        "-" if moved is None else _giga(moved["bytes"]),
        "-" if moved is None else _giga(moved["padded_bytes"]),
        "-" if flops is None else f"{flops / 1e9:,.1f}",
        "-" if prices is None else f"{prices['ms']:.2f}",
        "-" if bound is None else f"{bound:.1%}",
        f"{found['trace_and_lower']['wall_s'] + found['compile']['wall_s']:.1f}",
    )


def _giga(size: int) -> str:
    return f"{size / 1e9:,.2f}"


def _too_large(what: str, memory: dict[str, Any]) -> list[str]:
    if memory["fits"] is not False:
        return []
    count = memory["batch_that_fits"]
    told = f"about {count} images a device" if count else "not even one image a device"
    return [
        f"  {what} does not fit: {_giga(memory['over_bytes'])} GB too large; "
        f"{told} would fit (an estimate)"
    ]


def _price_lines(what: str, prices: dict[str, Any]) -> list[str]:
    rows: list[Sequence[str]] = [("", "forward ms", "backward ms", "share")]
    rest = {"forward_ms": 0.0, "backward_ms": 0.0}
    for name, part in prices["parts"].items():
        if sum(part.values()) < SMALLEST_SHARE * prices["ms"]:
            rest = {key: rest[key] + part[key] for key in rest}
        else:
            rows.append(_part_row(name, part, whole=prices["ms"]))
    if sum(rest.values()):
        rows.append(_part_row("smaller ones", rest, whole=prices["ms"]))
    lines = [f"  {what} by part of the network", *(f"  {line}" for line in aligned(rows))]
    if prices["unpriced"]:
        least = SMALLEST_SHARE * prices["unpriced_ms"]
        names = [
            f"{name} {found['count']} × ({found['ms']:.3f} ms)"
            for name, found in prices["unpriced"].items()
            if found["ms"] >= least
        ]
        names += ["others"] if len(names) < len(prices["unpriced"]) else []
        told = f"  {what}, priced by bytes alone, {prices['unpriced_ms']:.2f} ms: "
        lines.append(told + "; ".join(names))
    return lines


def _part_row(name: str, part: dict[str, Any], *, whole: float) -> tuple[str, ...]:
    forward, backward = part["forward_ms"], part["backward_ms"]
    share = (forward + backward) / whole if whole else 0.0
    return name, f"{forward:.3f}", f"{backward:.3f}", f"{share:.1%}"


def _sent_lines(what: str, sent: dict[str, dict[str, int]]) -> list[str]:
    told = "; ".join(
        f"{found['count']} {kind} ({found['asynchronous']} asynchronous), "
        f"{found['bytes'] / 1e6:.1f} MB"
        for kind, found in sent.items()
    )
    return [f"  {what} sends: {told}"]


def _notes(report: dict[str, Any]) -> list[str]:
    chip = report["chip"]
    if chip is None:
        return ["  nothing is stated of this device: no prices"]
    prices = [report[what]["priced"] for what in parts(report) if report[what].get("priced")]
    lines = [
        f"  of {chip['peak_tflops']:g} TFLOP/s and {chip['bandwidth'] / 1e9:,g} GB/s ({chip['source']})"
    ]
    if report["effort"] == "quick":
        lines.append("  compiled with little effort: what fits and what is sent; no prices")
    elif any(one["by"] == "cycles" for one in prices):
        lines.append(
            f"  priced by the compiler's cycles at {chip['clock_hz'] / 1e9:g} GHz, "
            "what carries none by its padded bytes over the bandwidth"
        )
    elif prices:
        lines.append(
            "  priced by a roofline: padded bytes over the bandwidth or products over the peak, "
            "operation by operation"
        )
    return lines
