"""`mgajax curate`: its options, and what it prints."""

import argparse
import importlib.util
import os
from pathlib import Path
from typing import Any

from mgajax.cli.command import add_command
from mgajax.errors import ConfigError
from mgajax.schema import SOURCES

NEEDS: tuple[str, ...] = ("gdcm", "nibabel", "openpyxl", "pyarrow", "pydicom", "tifffile")
"""Modules of the extra `curation`, which nothing else of the package uses."""

EPILOG = """\
Give the folder that holds the downloads, unpacked or zipped, with the names of their own folders:
  COVID-CT/  COVID-CT-MD/  covid-chestxray-dataset/  MosMedData/  COVID-CTset/  COVID-19-CT-Seg/  MedSeg/
Written: OUT/curated_data, OUT/masks, OUT/meta_data_*.csv, OUT/catalogue.{csv,parquet},
OUT/summary.json, OUT/card (what `mgajax report` says of it). Interrupted? Give the same command
again. Then:
  mgajax audit --data OUT
  mgajax build covid_ct_slices --manual_dir OUT
"""


def add_curate(commands: Any) -> None:
    """Add the command to the parser's `commands`."""
    command = add_command(
        commands,
        "curate",
        curate,
        text="rebuild the curated set from the seven archives, with a catalogue of every slice",
        examples=(
            "mgajax curate --raw ARCHIVES --out CURATED",
            "mgajax curate --raw ARCHIVES --out LUNG --sources morozov,jun --window=-600/1500",
        ),
        epilog=EPILOG,
    )
    command.add_argument("--raw", type=Path, required=True, help="folder of the downloads")
    command.add_argument("--out", type=Path, required=True, help="where the set goes")
    command.add_argument(
        "--sources", default="", metavar="A,B", help=f"some of {','.join(SOURCES)} (default: all)"
    )
    command.add_argument(
        "--window",
        default="published",
        help="published (each slice from its minimum to its maximum), lung, mediastinum, bone, or "
        "CENTRE/WIDTH in HU, e.g. --window=-600/1500 (default: published)",
    )
    command.add_argument(
        "--orientation",
        choices=("published", "upright"),
        default="published",
        help="upright turns the slices that were published upside down (default: published)",
    )
    command.add_argument(
        "--labels",
        type=Path,
        metavar="CSV",
        help="a radiologist's word, which wins: file_name,label[,keep]",
    )
    _add_choices(command)
    command.add_argument(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        help="processes, each with one volume in memory (default: one a core)",
    )


def _add_choices(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--unlabelled",
        choices=("leave_out", "select"),
        default="leave_out",
        help="volumes that nobody labelled and the published set leaves out; select takes them, by "
        "lung area and likeness (default: leave_out)",
    )
    command.add_argument(
        "--most_alike",
        type=float,
        metavar="R",
        help="with --unlabelled=select: neighbours that correlate at least so count as one "
        "(default: 0.985)",
    )
    command.add_argument(
        "--lung_rule",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="with --unlabelled=select: when a slice shows enough lung; air_below (HU, default -320), "
        "smallest_part, least_of_body, least_of_widest (shares, default 0.01, 0.08, 1/3)",
    )
    command.add_argument(
        "--effusion",
        choices=("lesion", "background"),
        default="lesion",
        help="what pleural effusion is in MedSeg's masks (default: lesion)",
    )
    command.add_argument(
        "--afshar_labels",
        choices=("first", "updated"),
        default="first",
        help="release of COVID-CT-MD's slice labels (default: first, as published)",
    )
    command.add_argument(
        "--jun_infection",
        type=_labels,
        default=(3,),
        metavar="N,M",
        help="labels of infection in Jun's combined masks; used where a volume has no infection mask "
        "of its own (default: 3)",
    )
    command.add_argument(
        "--second_copies",
        choices=("merge", "keep"),
        default="merge",
        help="COVID-CTset's pictures that one patient has twice; the published set keeps them "
        "(default: merge)",
    )


def _labels(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(","))


def curate(arguments: argparse.Namespace, overrides: list[str]) -> None:
    """Curate, describe what OUT holds, and say what was found."""
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"not installed: {', '.join(missing)}; pip install 'mgajax[curation]'")
    from mgajax.curation import curate as curation
    from mgajax.curation.archives.archive import ReadOptions
    from mgajax.curation.selection import MOST_ALIKE, lung_rule, read_rulings
    from mgajax.imaging.windows import find_window
    from mgajax.reporting.dataset_report import report_dataset

    settings = curation.CurationSettings(
        window=find_window(arguments.window),
        orientation=arguments.orientation,
        options=ReadOptions(
            unlabelled=arguments.unlabelled,
            effusion=arguments.effusion,
            afshar_labels=arguments.afshar_labels,
            second_copies=arguments.second_copies,
            jun_infection=arguments.jun_infection,
        ),
        lung_rule=lung_rule(arguments.lung_rule),
        rulings=read_rulings(arguments.labels) if arguments.labels else {},
        most_alike=MOST_ALIKE if arguments.most_alike is None else arguments.most_alike,
    )
    report = curation.curate(
        arguments.raw,
        out=arguments.out,
        sources=tuple(filter(None, arguments.sources.split(","))),
        settings=settings,
        workers=arguments.workers,
    )
    for group, count in report.by_group.items():
        print(f"{count:7,}  {group}")
    print(
        f"{report.slices:7,}  slices of {report.patients} patients, {report.masked} with a mask; "
        f"{report.skipped} of {report.units} volumes and patients were done before"
    )
    for finding in report.findings.values():
        kind = "damage" if finding["damage"] else "note"
        print(f"{kind}: {finding['count']} {finding['meaning']} (e.g. {finding['examples'][0]})")
    files = ["summary.json", "catalogue.csv", "catalogue.parquet"]
    if report.slices:
        report_dataset(arguments.out, out=arguments.out / "card")
        files.append("card/card.html")
    print(f"\n{arguments.out}: {', '.join(files)}")
