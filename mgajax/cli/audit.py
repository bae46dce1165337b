"""`mgajax audit`."""

import argparse
import json
from pathlib import Path
from typing import Any

from mgajax.cli.command import add_command
from mgajax.files import write_text

EPILOG = """\
looks for patients in several splits, the same picture twice (also turned, mirrored, cropped or
recoded), conflicting labels, damaged and missing files, for test patients who trained the segmenter of the
masks, and for what tells the class without a look at the lungs. Writes OUT/audit.html and OUT/audit.json.
exit code 1 on leakage or a label conflict. Without a split, a picture under two patients counts
as leakage. A second audit into the same OUT decodes only what is new."""


def add_audit(commands: Any) -> None:
    """Add the command to the parser's `commands`."""
    command = add_command(
        commands,
        "audit",
        audit,
        text="prove a data set clean, or show where it leaks",
        examples=(
            "mgajax audit --data tensorflow_datasets/covid_ct_slices",
            "mgajax audit --data CURATED --masks CURATED/masks --out audit",
            "mgajax audit --data tensorflow_datasets/covid_ct_slices --trained_on runs/hmsanet/split.csv",
        ),
        epilog=EPILOG,
    )
    command.add_argument(
        "--data", type=Path, required=True, help="a built data set, or a folder with curated_data/"
    )
    command.add_argument("--masks", type=Path, metavar="DIR", help="lesion masks to check too")
    command.add_argument(
        "--split", type=Path, metavar="FILE.csv", help="a split.csv (default: the built split)"
    )
    command.add_argument(
        "--trained_on",
        type=Path,
        metavar="PATH",
        help="what the segmenter of the masks was trained on, a built set or a run's split.csv: "
        "no test patient may train there",
    )
    command.add_argument(
        "--out", type=Path, default=Path("audit"), help="where the report goes (default audit)"
    )


def audit(arguments: argparse.Namespace, overrides: list[str]) -> int:
    """Audit, write the report, and return the exit code."""
    from mgajax.audit.audit import audit_folder
    from mgajax.audit.page import audit_page
    from mgajax.audit.summary import summary

    out = arguments.out
    report = audit_folder(
        arguments.data,
        split=arguments.split,
        masks=arguments.masks,
        trained_on=arguments.trained_on,
        cache=out / "cache",
    )
    out.mkdir(parents=True, exist_ok=True)
    page = audit_page(report.result, thumbnails=report.thumbnails, shapes=report.shapes)
    files = {
        out / "audit.html": page,
        out / "audit.json": json.dumps(report.result.to_json(), indent=2, ensure_ascii=False)
        + "\n",
    }
    for path, text in files.items():
        write_text(text, path)
    print(summary(report.result))
    for path in files:
        print(path)
    return 0 if report.result.is_clean else 1
