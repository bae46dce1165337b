"""Results of the benchmarks as plain text for the terminal."""

from collections.abc import Sequence
from typing import Any

from mgajax.benchmark.compiled_step import STEP_KINDS


def step_table(report: dict[str, Any]) -> str:
    """The main numbers of `measure_step`; the JSON has them all."""
    header = ("", "p50 ms", "p90 ms", "img/s/device", "compile s", "MB", "GFLOP", "MFU")
    rows = [header, *(_step_row(kind, report[kind]) for kind in parts(report))]
    lines = [subject(report), *align(rows)]
    if report["peak"] is not None:
        peak = report["peak"]
        lines.append(
            f"  MFU of {peak['tflops']:g} TFLOP/s ({peak['arithmetic']}; {peak['source']})"
        )
    if "peer" in report:
        lines += _peer_lines(report)
    return "\n".join(lines)


def scaling_table(report: dict[str, Any]) -> str:
    """The main numbers of `measure_scaling`."""
    header = ("devices", "batch", "p50 ms", "img/s", report["measure"], "all-reduces", "MB")
    lines = [f"{subject(report)}, train step"]
    for scaling in ("weak", "strong"):
        rows: list[Sequence[str]] = [header]
        for row in report[scaling]:
            reduced = row["collectives"].get("all-reduce", {"count": 0, "bytes": 0})
            rows.append(
                (
                    str(row["devices"]),
                    str(row["batch_size"]),
                    f"{row['p50_ms']:.1f}",
                    f"{row['images_per_s']:,.0f}",
                    f"{row['efficiency']:.2f}",
                    str(reduced["count"]),
                    f"{reduced['bytes'] / 1e6:.1f}",
                )
            )
        lines += [f"  {scaling}", *align(rows)]
    lines.append(f"  {report['note']}")
    return "\n".join(lines)


def input_table(report: dict[str, Any]) -> str:
    """The main numbers of `measure_input`."""
    return "\n".join(
        (
            f"{report['model']}, batch {report['batch_size']} at {report['image_size']}², "
            f"gathered on the {report['residence']}, {_devices(report['devices'])}",
            f"  real data    {report['real_ms']:10.1f} ms a step",
            f"  fixed batch  {report['fixed_ms']:10.1f} ms a step",
            f"  ratio        {report['ratio']:10.3f} (blocks: {_span(report['block_ratios'])})",
        )
    )


def comparison_table(comparison: dict[str, Any]) -> str:
    """Differences between the two subjects and versions of `compare`, then the ratios."""
    rows: list[Sequence[str]] = [("", "A", "B", "A / B")]
    for name, row in comparison["figures"].items():
        rows.append((name, f"{row['a']:,.4g}", f"{row['b']:,.4g}", f"{row['ratio']:.3f}"))
    differing = [
        f"  differs: {key}: {values['a']!r} and {values['b']!r}"
        for key, values in comparison["differences"].items()
    ]
    versions = [
        f"  note: {key}: {values['a']!r} and {values['b']!r}"
        for key, values in comparison["versions"].items()
    ]
    return "\n".join([comparison["what"], *differing, *versions, *align(rows)])


def subject(report: dict[str, Any]) -> str:
    """Model, batch and devices in a line."""
    return (
        f"{report['model']} {report['dtype']}, batch {report['batch_size']} at "
        f"{report['image_size']}², {_devices(report['devices'])}, {report['parallel']}, "
        f"augmentation {report['augmentation']}"
    )


def parts(report: dict[str, Any]) -> list[str]:
    """The steps that a report covers."""
    return [kind for kind in STEP_KINDS if kind in report]


def _devices(kinds: Sequence[str]) -> str:
    return f"{len(kinds)} × {kinds[0]}"


def _step_row(name: str, step: dict[str, Any]) -> tuple[str, ...]:
    memory, flops, mfu = step["memory"], step["flops_per_device"], step["mfu"]
    needed = (memory["arguments_bytes"] or 0) + (memory["intermediate_bytes"] or 0)
    return (
        name,
        f"{step['p50_ms']:.1f}",
        f"{step['p90_ms']:.1f}",
        f"{step['images_per_s_per_device']:,.1f}",
        f"{step['trace_and_lower']['wall_s'] + step['compile']['wall_s']:.1f}",
        f"{needed / 1e6:,.0f}",
        "-" if flops is None else f"{flops / 1e9:,.1f}",
        "-" if mfu is None else f"{mfu:.1%}",
    )


def _peer_lines(report: dict[str, Any]) -> list[str]:
    peer = report["peer"]
    rows: list[Sequence[str]] = [("", "p50 ms", "p90 ms", "best mode", "torch / mgajax", "blocks")]
    for kind in parts(report):
        step = report[kind]
        rows.append(
            (
                kind,
                f"{step['peer']['p50_ms']:.1f}",
                f"{step['peer']['p90_ms']:.1f}",
                step["peer"]["mode"],
                f"{step['ratio']:.3f}",
                _span(step["block_ratios"]),
            )
        )
    return [
        f"PyTorch {peer['torch']} on {peer['device']}, in turns, {peer['threads']} CPU threads each",
        *align(rows),
        "  above 1: mgajax is faster",
    ]


def _span(values: Sequence[float]) -> str:
    return f"{min(values):.3f} to {max(values):.3f}"


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as they must be: the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


SMALLEST_SHARE = 0.005
"""Parts of the network below this share of the step are joined."""


def compile_table(report: dict[str, Any]) -> str:
    """The main numbers, and below them, by part, where the time should go."""
    header = ("", "fits", "GB", "of GB", "batch that fits", "GB moved", "padded", "GFLOP")
    rows: list[Sequence[str]] = [(*header, "priced ms", "MFU at most", "compile s")]
    rows += [_row(kind, report[kind]) for kind in parts(report)]
    lines = [f"{subject(report)}, compiled for {report['target']}", *align(rows)]
    for kind in parts(report):
        step = report[kind]
        lines += _too_large(kind, step["memory"])
        if step.get("priced"):
            lines += _price_lines(kind, step["priced"])
        if step.get("collectives"):
            lines += _collective_lines(kind, step["collectives"])
    return "\n".join(lines + _notes(report))


def _row(name: str, step: dict[str, Any]) -> tuple[str, ...]:
    memory, moved, prices = step["memory"], step.get("moved"), step.get("priced")
    flops, bound = step.get("flops_per_device"), step.get("mfu_bound")
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
        f"{step['trace_and_lower']['wall_s'] + step['compile']['wall_s']:.1f}",
    )


def _giga(size: int) -> str:
    return f"{size / 1e9:,.2f}"


def _too_large(kind: str, memory: dict[str, Any]) -> list[str]:
    if memory["fits"] is not False:
        return []
    count = memory["batch_that_fits"]
    text = f"about {count} images a device" if count else "not even one image a device"
    return [
        f"  {kind} does not fit: {_giga(memory['over_bytes'])} GB too large; "
        f"{text} would fit (an estimate)"
    ]


def _price_lines(kind: str, prices: dict[str, Any]) -> list[str]:
    rows: list[Sequence[str]] = [("", "forward ms", "backward ms", "share")]
    small_parts = {"forward_ms": 0.0, "backward_ms": 0.0}
    for name, part in prices["parts"].items():
        if sum(part.values()) < SMALLEST_SHARE * prices["ms"]:
            small_parts = {key: small_parts[key] + part[key] for key in small_parts}
        else:
            rows.append(_part_row(name, part, whole=prices["ms"]))
    if sum(small_parts.values()):
        rows.append(_part_row("smaller ones", small_parts, whole=prices["ms"]))
    lines = [f"  {kind} by part of the network", *(f"  {line}" for line in align(rows))]
    if prices["unpriced"]:
        least = SMALLEST_SHARE * prices["unpriced_ms"]
        names = [
            f"{name} {entry['count']} × ({entry['ms']:.3f} ms)"
            for name, entry in prices["unpriced"].items()
            if entry["ms"] >= least
        ]
        names += ["others"] if len(names) < len(prices["unpriced"]) else []
        text = f"  {kind}, priced by bytes alone, {prices['unpriced_ms']:.2f} ms: "
        lines.append(text + "; ".join(names))
    return lines


def _part_row(name: str, part: dict[str, Any], *, whole: float) -> tuple[str, ...]:
    forward, backward = part["forward_ms"], part["backward_ms"]
    share = (forward + backward) / whole if whole else 0.0
    return name, f"{forward:.3f}", f"{backward:.3f}", f"{share:.1%}"


def _collective_lines(kind: str, transfers: dict[str, dict[str, int]]) -> list[str]:
    text = "; ".join(
        f"{transfer['count']} {name} ({transfer['asynchronous']} asynchronous), "
        f"{transfer['bytes'] / 1e6:.1f} MB"
        for name, transfer in transfers.items()
    )
    return [f"  {kind} sends: {text}"]


def _notes(report: dict[str, Any]) -> list[str]:
    chip = report["chip"]
    if chip is None:
        return ["  nothing is stated of this device: no prices"]
    prices = [report[kind]["priced"] for kind in parts(report) if report[kind].get("priced")]
    lines = [
        f"  of {chip['peak_tflops']:g} TFLOP/s and {chip['bandwidth'] / 1e9:,g} GB/s ({chip['source']})"
    ]
    if report["effort"] == "quick":
        lines.append("  compiled with little effort: what fits and what is sent; no prices")
    elif any(price["by"] == "cycles" for price in prices):
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
