"""`mgajax segment`: its options, and what it prints."""

import argparse
from pathlib import Path
from typing import Any

from mgajax.cli.command import add_command
from mgajax.errors import ConfigError


def add_segment(commands: Any) -> None:
    """Add the command to the parser's `commands`."""
    command = add_command(
        commands,
        "segment",
        segment,
        text="write a lesion mask for every slice that has no annotated one",
        examples=(
            "mgajax segment --workdir runs/hmsanet --data tensorflow_datasets/covid_ct_slices --out masks",
            "mgajax segment --workdir runs/hmsanet --data DATA --out masks --scales 0.5,1.0,2.0 --soft",
        ),
        epilog=(
            "masks go to OUT/masks/NAME.png, each of its slice's own size; OUT/manifest.json says\n"
            "what made them. Stopped or killed, the same command goes on; it redoes no mask.\n"
            "keys that do not change numbers can be set:  --config.eval_batch_size=4"
        ),
        overrides=True,
    )
    command.add_argument("--workdir", type=Path, required=True, help="a segmenter's run")
    command.add_argument("--data", type=Path, required=True, help="a built data set of slices")
    command.add_argument("--out", type=Path, required=True, help="where the masks go")
    command.add_argument(
        "--scales", metavar="0.5,1.0", help="hmsanet's scales of inference (default: its run's)"
    )
    command.add_argument(
        "--soft", action="store_true", help="write probabilities (0 to 255) instead of 0 and 255"
    )


def segment(arguments: argparse.Namespace, overrides: list[str]) -> None:
    """Predict lesion masks for a data set of slices."""
    from mgajax.inference.segment import segment as write_masks

    masks = write_masks(
        arguments.workdir,
        data=arguments.data,
        out=arguments.out,
        scales=_scales(arguments.scales),
        kind="soft" if arguments.soft else "binary",
        overrides=overrides,
    )
    print(
        f"{masks.folder}: {masks.written} masks written, {masks.earlier} were there; {masks.annotated} "
        f"slices have an annotated one, {len(masks.damaged)} cannot be decoded"
    )
    if not masks.finished:
        print("give the same command again to go on")


def _scales(text: str | None) -> tuple[float, ...] | None:
    try:
        return None if text is None else tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--scales {text}: write numbers such as 0.5,1.0") from None
