"""`mgajax export`: its options, and what it prints."""

import argparse
from pathlib import Path
from typing import Any

from mgajax.cli.command import add_command
from mgajax.errors import ConfigError, nearest
from mgajax.interop.formats import FORMATS


def add_export(commands: Any) -> None:
    """Add the command to the parser's `commands`."""
    command = add_command(
        commands,
        "export",
        export,
        text="write a trained run as StableHLO, ONNX, safetensors, PyTorch or Orbax, with a model card",
        examples=(
            "mgajax export --workdir runs/mga --out exported",
            "mgajax export --workdir runs/mga --format onnx,safetensors --out exported",
        ),
        epilog=(
            "Each file is loaded again by its own runtime and compared with the checkpoint on slices\n"
            "of the run's data set; if one differs, nothing is left in OUT.\n"
            "OUT is a folder (files are named after the model), or one file: --out lesions.onnx"
        ),
    )
    command.add_argument("--workdir", type=Path, required=True, help="the run's folder")
    command.add_argument(
        "--format",
        default="",
        metavar="A,B",
        help=f"{', '.join(FORMATS)}; default: all whose packages are installed",
    )
    command.add_argument("--out", type=Path, required=True, help="a folder, or a file; see below")


def export(arguments: argparse.Namespace, overrides: list[str]) -> None:
    """Export, and say how closely each file agrees."""
    from mgajax.interop.export.export import export_run

    folder, stem, formats = _destination(arguments.out, arguments.format)
    exported = export_run(arguments.workdir, folder=folder, stem=stem, formats=formats)
    print(
        f"compared with step {exported.step} on {exported.slices}, relative to the largest value:"
    )
    for artefact in exported.artefacts:
        print(f"  {artefact.name:<12} {artefact.agreement}")
    for path in exported.files:
        print(path)
    for name in exported.left_out:
        print(f"left out: {name}, which needs {_needs(name)}")


def _destination(out: Path, formats: str) -> tuple[Path, str | None, tuple[str, ...] | None]:
    """Folder, name without suffix (None: the model's) and formats (None: all installed)."""
    names = tuple(dict.fromkeys(part for part in formats.split(",") if part))
    for name in names:
        if name not in FORMATS:
            raise ConfigError(f"--format {name}: {nearest(name, tuple(FORMATS))}")
    by_suffix = [name for name, chosen in FORMATS.items() if chosen.suffix == out.suffix]
    if not by_suffix or (out.is_dir() and out.suffix != FORMATS["orbax"].suffix):
        for name in names:
            _check_installed(name)
        return out, None, names or None
    if names and names != tuple(by_suffix):
        raise ConfigError(
            f"--out {out} is a file of format {by_suffix[0]}, asked for {','.join(names)}; name a folder"
        )
    _check_installed(by_suffix[0])
    return out.parent, out.stem, tuple(by_suffix)


def _check_installed(name: str) -> None:
    if FORMATS[name].missing:
        raise ConfigError(f"--format {name} needs {_needs(name)}")


def _needs(name: str) -> str:
    chosen = FORMATS[name]
    return f"{' and '.join(chosen.missing)}: pip install 'mgajax[{chosen.extra}]'"
