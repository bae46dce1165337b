"""`mgajax explain`: its options, and what it prints."""

import argparse
from pathlib import Path
from typing import Any

from mgajax.cli.command import add_command, add_data
from mgajax.schema import CLASS_NAMES, SPLITS


def add_explain(commands: Any) -> None:
    """Add the command to the parser's `commands`."""
    command = add_command(
        commands,
        "explain",
        explain,
        text="explain a classifier's predictions, and score the maps against the lesions",
        examples=(
            "mgajax explain --workdir runs/mga --out maps",
            "mgajax explain --workdir runs/mga runs/resnet18 --method ig,deeplift --limit 16 --out maps",
        ),
        epilog=(
            "methods: deeplift, revealcancel, ig (attributions, which add up to the logit), gradcam,\n"
            "attention; default: deeplift,gradcam,attention. Several runs are drawn side by side.\n"
            "OUT holds .npz maps, scores.csv, summary.json, PNGs and index.html.\n"
            "keys that do not change numbers can be set:  --config.devices=1"
        ),
        overrides=True,
    )
    command.add_argument("--workdir", type=Path, required=True, nargs="+", help="classifiers' runs")
    add_data(command)
    command.add_argument("--out", type=Path, required=True, help="where the results go")
    command.add_argument("--split", choices=SPLITS, default="test", help="default: test")
    command.add_argument(
        "--images", type=Path, nargs="+", default=[], help="picture files instead of a split"
    )
    command.add_argument(
        "--method", "--methods", default="", metavar="A,B", help="see below; comma-separated"
    )
    command.add_argument(
        "--check",
        default="",
        metavar="A,B",
        help="insertion, deletion, randomisation (of the weights): curves for every map; slower",
    )
    command.add_argument(
        "--baseline",
        default="black",
        help="black (default), blurred, normal (mean Normal slice), normals (several)",
    )
    command.add_argument(
        "--target",
        default="predicted",
        help=f"explained class: predicted (default), label, {', '.join(CLASS_NAMES)}",
    )
    command.add_argument("--limit", type=int, metavar="N", help="N slices, evenly from the split")


def explain(arguments: argparse.Namespace, overrides: list[str]) -> None:
    """Explain, write, and say how fast it was and where the results are."""
    from mgajax.explanation.explain import explain_runs

    explanation = explain_runs(
        arguments.workdir,
        out=arguments.out,
        split=arguments.split,
        images=arguments.images,
        methods=tuple(part for part in arguments.method.split(",") if part),
        checks=tuple(part for part in arguments.check.split(",") if part),
        baseline=arguments.baseline,
        target=arguments.target,
        limit=arguments.limit,
        overrides=overrides,
    )
    for result in explanation.results:
        note = "" if result.compiled else ", compilation included"
        print(f"{result.model}: {result.method.title}: {result.seconds:.3f} s a slice{note}")
    for path in explanation.files:
        print(path)
