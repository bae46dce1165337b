"""What the benchmarks found, as plain text for the terminal."""

from collections.abc import Sequence
from typing import Any

from mgajax.benchmark.program import WHATS


def step_table(report: dict[str, Any]) -> str:
    """The main numbers of `measure_step`; the JSON has them all."""
    header = ("", "p50 ms", "p90 ms", "img/s/device", "compile s", "MB", "GFLOP", "MFU")
    rows = [header, *(_step_row(what, report[what]) for what in parts(report))]
    lines = [subject(report), *aligned(rows)]
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
        lines += [f"  {scaling}", *aligned(rows)]
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
    """The ratios of `compare`, and before them what else differs."""
    rows: list[Sequence[str]] = [("", "A", "B", "A / B")]
    for name, row in comparison["figures"].items():
        rows.append((name, f"{row['a']:,.4g}", f"{row['b']:,.4g}", f"{row['ratio']:.3f}"))
    differing = [
        f"  differs: {key}: {found['a']!r} and {found['b']!r}"
        for key, found in comparison["differences"].items()
    ]
    versions = [
        f"  note: {key}: {found['a']!r} and {found['b']!r}"
        for key, found in comparison["versions"].items()
    ]
    return "\n".join([comparison["what"], *differing, *versions, *aligned(rows)])


def subject(report: dict[str, Any]) -> str:
    """What was measured, in a line."""
    return (
        f"{report['model']} {report['dtype']}, batch {report['batch_size']} at "
        f"{report['image_size']}², {_devices(report['devices'])}, {report['parallel']}, "
        f"augmentation {report['augmentation']}"
    )


def parts(report: dict[str, Any]) -> list[str]:
    """Which steps a report is of."""
    return [what for what in WHATS if what in report]


def _devices(kinds: Sequence[str]) -> str:
    return f"{len(kinds)} × {kinds[0]}"


def _step_row(name: str, found: dict[str, Any]) -> tuple[str, ...]:
    memory, flops, mfu = found["memory"], found["flops_per_device"], found["mfu"]
    needed = (memory["arguments_bytes"] or 0) + (memory["intermediate_bytes"] or 0)
    return (
        name,
        f"{found['p50_ms']:.1f}",
        f"{found['p90_ms']:.1f}",
        f"{found['images_per_s_per_device']:,.1f}",
        f"{found['trace_and_lower']['wall_s'] + found['compile']['wall_s']:.1f}",
        f"{needed / 1e6:,.0f}",
        "-" if flops is None else f"{flops / 1e9:,.1f}",
        "-" if mfu is None else f"{mfu:.1%}",
    )


def _peer_lines(report: dict[str, Any]) -> list[str]:
    peer = report["peer"]
    rows: list[Sequence[str]] = [("", "p50 ms", "p90 ms", "best mode", "torch / mgajax", "blocks")]
    for what in parts(report):
        found = report[what]
        rows.append(
            (
                what,
                f"{found['peer']['p50_ms']:.1f}",
                f"{found['peer']['p90_ms']:.1f}",
                found["peer"]["mode"],
                f"{found['ratio']:.3f}",
                _span(found["block_ratios"]),
            )
        )
    return [
        f"PyTorch {peer['torch']} on {peer['device']}, in turns, {peer['threads']} CPU threads each",
        *aligned(rows),
        "  above 1: mgajax is faster",
    ]


def _span(values: Sequence[float]) -> str:
    return f"{min(values):.3f} to {max(values):.3f}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
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
