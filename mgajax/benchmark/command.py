"""`mgajax benchmark`: its options, and what it prints."""

import argparse
import json
from pathlib import Path


def add_benchmark(commands, add_command) -> None:
    """Add the command to the parser\'s `commands` by `add_command` of the command line."""
    command = add_command(
        commands,
        "benchmark",
        benchmark,
        text="measure: what does a step cost, and does the input keep up with it?",
        epilog=(
            "step:  compile time, step time and memory on a drawn batch; needs no data set\n"
            "input: the step on real data against the same step on one fixed batch"
        ),
        overrides=True,
    )
    command.add_argument("what", choices=("step", "input"))
    command.add_argument("--config", type=Path, required=True, help="a file of configs/")
    command.add_argument("--steps", type=int, default=40, help="steps timed each way")
    command.add_argument("--out", type=Path, metavar="FILE.json", help="also write the figures")


def benchmark(arguments: argparse.Namespace, overrides: list[str]) -> None:
    """Time a step, alone or against its input."""
    from mgajax import config
    from mgajax.benchmark.input_rate import measure_input
    from mgajax.benchmark.step_time import measure_step

    settings = config.load(arguments.config, overrides=overrides)
    measure = measure_step if arguments.what == "step" else measure_input
    result = measure(settings, steps=arguments.steps)
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")
