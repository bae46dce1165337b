"""`mgajax predict`: its options, and what it prints."""

import argparse
import importlib.util
from pathlib import Path
from typing import Any

from mgajax.cli.command import add_command
from mgajax.errors import ConfigError, quantity

NEEDS: tuple[str, ...] = ("gdcm", "highdicom", "nibabel", "pydicom")
"""Modules of the extra `predict`."""

PARTLY = 3
"""Exit code where something of the input was left out, or is odd."""

EPILOG = f"""\
input: pictures of slices, DICOM series, NIfTI volumes, folders of them, or .txt lists of paths (one
a line, and after a tab the patient). The pictures of one folder are one scan, as is a series.
OUT holds index.html, slices.csv, scans.csv, patients.csv, predict.json and a folder a scan: its page,
pictures, and the lesions in the input's own geometry (masks/*.png, lesion.nii.gz, lesion.dcm).
exit code: 0; {PARTLY} where some input was left out or is odd (one line each); 1 where nothing could
be predicted; 2 for an option that cannot be.
keys of the runs that do not change numbers can be set:  --config.devices=1
Research use only: not a medical device.
"""


def add_predict(commands: Any) -> None:
    """Add the command to the parser's `commands`."""
    command = add_command(
        commands,
        "predict",
        predict,
        text="predict slices and volumes: classes, lesions, pages to look at",
        examples=(
            "mgajax predict --classifier runs/mga --segmenter runs/hmsanet --input SERIES --out results",
            "mgajax predict --classifier runs/seed0 runs/seed1 --input a.png b.png \\\n"
            "      --attribution none --out results",
        ),
        epilog=EPILOG,
        overrides=True,
    )
    command.add_argument(
        "--classifier", type=Path, nargs="+", default=[], help="a run, or an ensemble of several"
    )
    command.add_argument("--segmenter", type=Path, help="a run that finds lesions")
    command.add_argument("--input", type=Path, nargs="+", required=True, help="see below")
    command.add_argument("--out", type=Path, required=True, help="a new folder for the results")
    command.add_argument(
        "--window",
        default="published",
        help="how Hounsfield units become grey, as in the training set: published (each slice from "
        "minimum to maximum; default), lung, mediastinum, bone, or CENTRE/WIDTH",
    )
    command.add_argument(
        "--turn",
        choices=("none", "flip", "rotate"),
        default="none",
        help="makes slices upright that a warning calls upside down: mirror top to bottom, or half "
        "a turn; masks are turned back (default: none)",
    )
    command.add_argument(
        "--tta", type=int, default=1, metavar="N", help="average over N variations (default: 1)"
    )
    command.add_argument(
        "--attribution",
        default="deeplift",
        help="deeplift (default), revealcancel, ig, gradcam, or none, which is faster",
    )
    command.add_argument(
        "--threshold", type=float, default=0.5, help="probability of lesion (default: 0.5)"
    )
    command.add_argument(
        "--batch_size", type=int, default=16, help="slices in memory at once (default: 16)"
    )


def predict(arguments: argparse.Namespace, overrides: list[str]) -> int:
    """Predict, and say what was found and where it is."""
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"not installed: {', '.join(missing)}; pip install 'mgajax[predict]'")
    from mgajax.imaging.windows import find_window
    from mgajax.inference.predict import predict as predict_inputs
    from mgajax.inference.scanning import Settings

    prediction = predict_inputs(
        arguments.input,
        out=arguments.out,
        classifiers=arguments.classifier,
        segmenter=arguments.segmenter,
        settings=Settings(
            window=find_window(arguments.window),
            turn=arguments.turn,
            variations=arguments.tta,
            attribution=arguments.attribution,
            threshold=arguments.threshold,
            batch_size=arguments.batch_size,
        ),
        overrides=overrides,
    )
    for scan in prediction.scans:
        warned = ", ".join(f"{oddity} {count}" for oddity, count in scan.oddities.items())
        print(
            f"{scan.name}: {quantity(len(scan.slices), 'slice')}"
            + (f"; warnings: {warned}" if warned else "")
        )
    print(f"{prediction.page}\nResearch use only: not a medical device.")
    return PARTLY if any(problem.kind != "passed over" for problem in prediction.problems) else 0
