"""`mgajax benchmark step|compile|input|scaling|compare`: their options, and what they print."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from mgajax.cli.command import RunCommand, add_command, add_data
from mgajax.errors import ConfigError
from mgajax.files import write_text

DEFAULT_COUNTS = (1, 2, 4, 8)


def add_benchmark(commands: Any) -> None:
    """Add the commands to the parser's `commands`."""
    group = commands.add_parser(
        "benchmark",
        help="measure: what does a step cost, does the input keep up, how does it scale?",
        description="Measure speed. Tables go to the terminal, all figures to --out as JSON.",
        allow_abbrev=False,
    )
    kinds = group.add_subparsers(dest="what", required=True, metavar="WHAT")
    _add_step(_add_timing(kinds, "step", step))
    _add_compile(_add_measurement(kinds, "compile", compile_step))
    _add_timing(kinds, "input", input_rate)
    _add_scaling(_add_timing(kinds, "scaling", scaling))
    _add_compare(kinds)


TEXTS = {
    "step": "compile time, train and eval step time and memory on a drawn batch; needs no data set",
    "compile": "compile for a TPU or GPU that is not there: does it fit, what should it take?",
    "input": "the step on real data against the same step on one fixed batch",
    "scaling": "the train step on 1, 2, 4, 8 devices, and what they send each other",
}


EXAMPLES = {
    "step": (
        "mgajax benchmark step --config configs/classification/mga_resnet18.py --out step.json",
        "mgajax benchmark step --config configs/classification/resnet18.py --peer torch",
    ),
    "compile": (
        "mgajax benchmark compile --config configs/classification/mga_resnet18.py --target v5e:1x1",
        "mgajax benchmark compile --config configs/segmentation/hmsanet.py --target h100:8 \\\n"
        "      --per_device 1 --config.model.options.repeats=scanned",
    ),
    "input": (
        "mgajax benchmark input --config configs/classification/mga_resnet18.py \\\n"
        "      --data tensorflow_datasets/covid_ct_slices",
    ),
    "scaling": (
        "mgajax benchmark scaling --config configs/classification/mga_resnet18.py --devices 1,2,4",
        "mgajax benchmark scaling --config configs/classification/resnet18.py --simulate 8",
    ),
    "compare": ("mgajax benchmark compare before.json after.json",),
}

EPILOGS = {
    "compile": """\
targets: v5e:AxB and v6e:AxB (chips along the sides of a TPU slice), h100:N, h200:N, a100:N, cpu
No such device is needed, nothing is drawn or run; on one core a full TPU compile takes minutes.
TPU targets need pip install 'mgajax[aot-tpu]', GPU targets 'mgajax[aot-gpu]' (no CUDA, no driver).

how to read it: `GB` are arguments, temporaries and new outputs of one device; `moved` are the bytes
that the program reads and writes in the device's memory, `padded` with what TPU tiles add.
`priced ms` are the compiler's own cycles where it writes them (v5e), otherwise bytes over bandwidth
or products over the peak, whichever takes longer. Real steps are slower, never faster by much.
Exit code 1 if a step does not fit.""",
}


def _add_measurement(kinds: Any, name: str, run: RunCommand) -> argparse.ArgumentParser:
    command = add_command(
        kinds,
        name,
        run,
        text=TEXTS[name],
        examples=EXAMPLES[name],
        epilog=EPILOGS.get(name, ""),
        overrides=True,
    )
    command.add_argument("--config", type=Path, required=True, help="a file of configs/")
    add_data(command)
    command.add_argument("--out", type=Path, metavar="FILE.json", help="also write all figures")
    return command


def _add_timing(kinds: Any, name: str, run: RunCommand) -> argparse.ArgumentParser:
    command = _add_measurement(kinds, name, run)
    command.add_argument("--steps", type=int, default=40, help="steps timed each way")
    return command


def _add_only(command) -> None:
    command.add_argument("--only", choices=("train", "eval"), help="one of the two steps")


def _chosen_steps(arguments: argparse.Namespace) -> tuple[Any, ...]:
    """The steps that `--only` leaves."""
    return (arguments.only,) if arguments.only else ("train", "eval")


def _add_compile(command) -> None:
    command.add_argument(
        "--target", required=True, metavar="NAME", help="what to compile for, as v5e:2x2 or h100:8"
    )
    _add_only(command)
    command.add_argument(
        "--per_device", type=int, metavar="N", help="images a device, instead of batch_size in all"
    )
    command.add_argument(
        "--quick",
        action="store_true",
        help="TPUs: compile several times faster; what fits and what is sent, no prices",
    )
    command.add_argument(
        "--texts", type=Path, metavar="FOLDER", help="also write the compiled programs (HLO)"
    )


def _add_step(command) -> None:
    _add_only(command)
    command.add_argument(
        "--peak_tflops", type=float, metavar="X", help="a device's peak, for the MFU"
    )
    command.add_argument(
        "--peer", choices=("torch",), help="time the same steps in PyTorch as well, in turns"
    )
    command.add_argument(
        "--peer_python",
        type=Path,
        default=Path(sys.executable),
        metavar="PYTHON",
        help="an interpreter with torch and numpy; default: this one (extra [peer])",
    )
    command.add_argument(
        "--peer_modes",
        default="",
        metavar="A,B",
        help="modes to try instead of all that fit the device; the fastest is timed",
    )


def _add_scaling(command) -> None:
    counts = ",".join(map(str, DEFAULT_COUNTS))
    command.add_argument("--devices", default=counts, metavar="1,2,...", help=f"default: {counts}")
    command.add_argument("--simulate", type=int, metavar="N", help="pretend N devices on the CPU")


def _add_compare(kinds: Any) -> None:
    command = add_command(
        kinds,
        "compare",
        compare_files,
        text="two files of --out: A / B",
        examples=EXAMPLES["compare"],
    )
    command.add_argument("first", type=Path, metavar="A.json")
    command.add_argument("second", type=Path, metavar="B.json")
    command.add_argument(
        "--anyway", action="store_true", help="also where model, devices or batch differ"
    )


def step(arguments: argparse.Namespace, overrides: list[str]) -> None:
    """Time a train step and an eval step, alone or beside PyTorch."""
    if arguments.peer:
        # Both sides need room on one GPU.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    from mgajax import config
    from mgajax.benchmark.step_time import measure_step
    from mgajax.benchmark.tables import step_table
    from mgajax.training.compilation import forget_compiled

    forget_compiled()
    report = measure_step(
        config.load(arguments.config, overrides=overrides),
        steps=arguments.steps,
        parts=_chosen_steps(arguments),
        peak_tflops=arguments.peak_tflops,
        peer_python=arguments.peer_python if arguments.peer else None,
        peer_modes=tuple(filter(None, arguments.peer_modes.split(","))),
    )
    _show(report, step_table(report), out=arguments.out)


def compile_step(arguments: argparse.Namespace, overrides: list[str]) -> int:
    """Compile both steps for devices that are not there; 1 if one does not fit."""
    from mgajax import config
    from mgajax.benchmark.targets import keep_to_cpu, parse_target

    keep_to_cpu(parse_target(arguments.target))
    from mgajax.benchmark.ahead_of_time import fits, measure_compile
    from mgajax.benchmark.tables import compile_table
    from mgajax.training.compilation import forget_compiled

    forget_compiled()
    report = measure_compile(
        config.load(arguments.config, overrides=overrides),
        target=arguments.target,
        parts=_chosen_steps(arguments),
        quick=arguments.quick,
        per_device=arguments.per_device,
        texts=arguments.texts,
    )
    _show(report, compile_table(report), out=arguments.out)
    return 0 if fits(report) else 1


def input_rate(arguments: argparse.Namespace, overrides: list[str]) -> None:
    """Time the step on real data against a fixed batch."""
    from mgajax import config
    from mgajax.benchmark.input_rate import measure_input
    from mgajax.benchmark.tables import input_table

    settings = config.load(arguments.config, overrides=overrides)
    report = measure_input(settings, steps=arguments.steps)
    _show(report, input_table(report), out=arguments.out)


def scaling(arguments: argparse.Namespace, overrides: list[str]) -> None:
    """Time the train step on more and more devices."""
    from mgajax import config
    from mgajax.benchmark.scaling import measure_scaling, simulate
    from mgajax.benchmark.tables import scaling_table

    try:
        counts = [int(word) for word in arguments.devices.split(",")]
    except ValueError:
        raise ConfigError(f"--devices {arguments.devices}: write numbers, as 1,2,4") from None
    if arguments.simulate is not None:
        simulate(arguments.simulate)
    report = measure_scaling(
        config.load(arguments.config, overrides=overrides),
        devices=counts,
        steps=arguments.steps,
        simulated=arguments.simulate is not None,
    )
    _show(report, scaling_table(report), out=arguments.out)


def compare_files(arguments: argparse.Namespace, overrides: list[str]) -> None:
    """Set two results side by side."""
    from mgajax.benchmark.compare import compare
    from mgajax.benchmark.tables import comparison_table

    comparison = compare(
        arguments.first,
        arguments.second,
        differing="allowed" if arguments.anyway else "refused",
    )
    print(comparison_table(comparison))


def _show(report: dict[str, Any], table: str, *, out: Path | None) -> None:
    print(table)
    if out:
        write_text(json.dumps(report, indent=2), out)
        print(out)
