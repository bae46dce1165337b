"""`mgajax doctor`: what is installed, which devices there are, and what is missing for which command."""

import argparse
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from packaging.requirements import Requirement

from mgajax.cli.command import add_command

PACKAGE = "mgajax"

EXTRAS = {
    "curation": "mgajax curate",
    "predict": "mgajax predict",
    "export": "mgajax export, to ONNX and safetensors",
    "gcs": "mgajax train, checkpoints in a bucket",
    "peer": "mgajax benchmark step --peer torch",
    "aot-gpu": "mgajax benchmark compile, for GPUs",
    "aot-tpu": "mgajax benchmark compile, for TPUs",
    "test": "./check",
    "docs": "the documentation as a site",
    "mutation": "mutation tests",
}
"""What each extra of the package is for. The line of devices covers those of devices."""

DEVICE_EXTRAS = {"gpu": "NVIDIA GPU", "tpu": "TPU"}

NVIDIA = Path("/proc/driver/nvidia/version")
TPUS = (Path("/dev/accel0"), Path("/dev/vfio/0"))

EPILOG = """\
One line for each thing: `ok`, or `missing` with the command that mends it. What is missing
matters only for that command. Exit code 1 if training would not start."""


@dataclass(frozen=True)
class Diagnosis:
    """One line of the answer.

    Attributes:
      state: `broken` is what every command needs, `missing` what one command needs.
      subject: the command or thing it is about.
      text: versions, or what is missing.
      fix: the command that mends it; empty where nothing is to mend.
    """

    state: Literal["ok", "missing", "broken"]
    subject: str
    text: str
    fix: str = ""


def add_doctor(commands: Any) -> None:
    """Add the command to the parser's `commands`."""
    add_command(
        commands,
        "doctor",
        doctor,
        text="versions, devices, and what is missing for which command, with the fix",
        examples=("mgajax doctor",),
        epilog=EPILOG,
    )


def doctor(arguments: argparse.Namespace, overrides: list[str]) -> int:
    """Print every finding in columns; 1 if training would not start."""
    findings = list(examine())
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        line = f"{finding.state:<8} {finding.subject:<{width}}  {finding.text}"
        print(f"{line}; {finding.fix}" if finding.fix else line)
    return int(any(finding.state == "broken" for finding in findings))


def examine() -> Iterator[Diagnosis]:
    """Every finding: interpreter, packages, devices, the folder of programs, then the commands."""
    yield Diagnosis("ok", "Python", f"{platform.python_version()}, {platform.platform(terse=True)}")
    yield _packages()
    yield _devices()
    yield _compiled_programs()
    for extra, purpose in EXTRAS.items():
        yield _extra(extra, purpose=purpose)


def _packages() -> Diagnosis:
    """The package itself, and the packages that it needs."""
    needed = list(requirements(PACKAGE))
    faults = _faults(needed)
    if faults:
        return Diagnosis(
            "broken", PACKAGE, ", ".join(faults), f"pip install {_quote(needed, faults)}"
        )
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("jax", "jaxlib", "flax"))
    return Diagnosis("ok", PACKAGE, f"{metadata.version(PACKAGE)} with {versions}")


def _quote(needed: list[Requirement], faults: list[str]) -> str:
    names = {fault.split()[0] for fault in faults}
    return " ".join(
        f"'{requirement.name}{requirement.specifier}'"
        for requirement in needed
        if requirement.name in names
    )


def _devices() -> Diagnosis:
    """What JAX computes on, and whether it leaves something idle."""
    import jax

    try:
        devices = jax.local_devices()
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        return Diagnosis("broken", "devices", reason, "try JAX_PLATFORMS=cpu, which always works")
    kinds = [device.device_kind for device in devices]
    text = ", ".join(f"{kinds.count(kind)} × {kind}" for kind in dict.fromkeys(kinds))
    text += f"; {os.cpu_count()} processor cores"
    idle = _idle_extra() if devices[0].platform == "cpu" else None
    if idle is None:
        return Diagnosis("ok", "devices", text)
    text = f"{text}; JAX does not use this machine's {DEVICE_EXTRAS[idle]}"
    if platforms := os.environ.get("JAX_PLATFORMS"):
        return Diagnosis("missing", "devices", text, f"unset JAX_PLATFORMS, which is {platforms}")
    return Diagnosis("missing", "devices", text, f"pip install '{PACKAGE}[{idle}]'")


def _idle_extra() -> str | None:
    """The extra for an accelerator that the machine has."""
    if NVIDIA.exists() or shutil.which("nvidia-smi"):
        return "gpu"
    return "tpu" if any(path.exists() for path in TPUS) else None


def _compiled_programs() -> Diagnosis:
    """Where compiled programs are kept, and whether that works."""
    import jax

    folder = Path(str(jax.config.values["jax_compilation_cache_dir"])).expanduser()
    parent = next(part for part in (folder, *folder.parents) if part.exists())
    if not os.access(parent, os.W_OK):
        fix = "set JAX_COMPILATION_CACHE_DIR to a folder that you may write"
        return Diagnosis("missing", "compiled programs", f"{folder} cannot be written", fix)
    size = sum(path.stat().st_size for path in folder.glob("*") if path.is_file())
    return Diagnosis("ok", "compiled programs", f"{folder}, {size / 1e6:.0f} MB; may be deleted")


def _extra(extra: str, *, purpose: str) -> Diagnosis:
    if extra not in (metadata.metadata(PACKAGE).get_all("Provides-Extra") or ()):
        text = f"the extra {extra}, which came after this installation"
        return Diagnosis("missing", purpose, text, "install the package again")
    needed = list(requirements(PACKAGE, extra=extra))
    faults = _faults(needed)
    if faults:
        return Diagnosis("missing", purpose, ", ".join(faults), f"pip install '{PACKAGE}[{extra}]'")
    names = {requirement.name for requirement in needed}
    return Diagnosis(
        "ok", purpose, ", ".join(f"{name} {metadata.version(name)}" for name in sorted(names))
    )


def requirements(distribution: str, *, extra: str = "") -> Iterator[Requirement]:
    """The requirements of a distribution on this machine, or those of one of its extras.

    An extra that asks for extras of others (`jax[tpu]`) gives what those ask for, too.
    """
    for text in metadata.requires(distribution) or ():
        requirement = Requirement(text)
        if not _is_meant(requirement, extra=extra):
            continue
        if requirement.name != PACKAGE:
            yield requirement
        for inner in sorted(requirement.extras):
            if _is_installed(requirement.name):
                yield from requirements(requirement.name, extra=inner)


def _is_meant(requirement: Requirement, *, extra: str) -> bool:
    marker = requirement.marker
    if marker is None:
        return not extra
    always = marker.evaluate({"extra": ""})
    return marker.evaluate({"extra": extra}) and always is not bool(extra)


def _faults(needed: list[Requirement]) -> list[str]:
    """`name` of what is not installed, `name 1.0 (needs >=2)` of what is too old."""
    faults = []
    for requirement in needed:
        if not _is_installed(requirement.name):
            faults.append(requirement.name)
        elif not requirement.specifier.contains(
            metadata.version(requirement.name), prereleases=True
        ):
            version = metadata.version(requirement.name)
            faults.append(f"{requirement.name} {version} (needs {requirement.specifier})")
    return list(dict.fromkeys(faults))


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
