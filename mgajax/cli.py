"""`mgajax COMMAND`: one thin function a command.

Results go to stdout, progress to stderr. Exit code 0, or non-zero with one clear line on stderr;
a Python traceback only with `--debug`.
"""

import argparse
import ast
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mgajax import __version__
from mgajax.errors import ConfigError, MgajaxError
from mgajax.progress import say
from mgajax.schema import SPLITS

DATA_DIR = Path("tensorflow_datasets")

EPILOG = """\
typical order:
  mgajax quickstart                                      everything on drawn data, minutes on a laptop
  mgajax build covid_ct_slices --manual_dir DOWNLOADS    the curated set, once
  mgajax train --config configs/classification/mga_resnet18.py --workdir runs/mga \\
      --config.data.dir=tensorflow_datasets/covid_ct_slices
  mgajax evaluate --workdir runs/mga

lesion masks where there are none:
  mgajax build covid_ct_lesions --manual_dir LESIONS     frames with annotated lesions, once
  mgajax train --config configs/segmentation/hmsanet.py --workdir runs/hmsanet \\
      --config.data.dir=tensorflow_datasets/covid_ct_lesions
  mgajax segment --workdir runs/hmsanet --data tensorflow_datasets/covid_ct_slices --out masks
  mgajax build covid_ct_slices --manual_dir DOWNLOADS --option masks=masks

Research use only: not a medical device.
"""


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = make_parser()
    arguments, rest = parser.parse_known_args(words)
    _quieten(debug=arguments.debug)
    try:
        overrides = _overrides(rest, accepted=arguments.takes_overrides)
        return arguments.run(arguments, overrides) or 0
    except MgajaxError as error:
        if arguments.debug:
            raise
        say(f"mgajax {arguments.command}: {error}")
        return error.exit_code
    except OSError as error:
        if arguments.debug:
            raise
        place = f"{error.filename}: " if error.filename else ""
        say(f"mgajax {arguments.command}: {place}{error.strerror or error}")
        return 1
    except KeyboardInterrupt:
        say(f"mgajax {arguments.command}: interrupted")
        return 130


def make_parser() -> argparse.ArgumentParser:
    """Every command with its options; `--help` teaches."""
    parser = argparse.ArgumentParser(
        prog="mgajax",
        description="Mask-guided attention for COVID-19 diagnosis on chest CT, in JAX/Flax.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mgajax {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_quickstart(commands)
    _add_build(commands)
    _add_train(commands)
    _add_evaluate(commands)
    _add_segment(commands)
    _add_benchmark(commands)
    _add_experiment(commands)
    return parser


def _add_command(commands, name: str, run, *, text: str, epilog: str = "", overrides: bool = False):
    command = commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_argument("--debug", action="store_true", help="show a traceback on an error")
    command.set_defaults(run=run, takes_overrides=overrides)
    return command


def _add_quickstart(commands) -> None:
    command = _add_command(
        commands,
        "quickstart",
        quickstart,
        text="draw data; segment lesions, predict masks, train the mask-guided classifier, evaluate",
        epilog="Nothing is downloaded. Under eight minutes on two CPU cores.",
    )
    command.add_argument(
        "--workdir", type=Path, default=Path("quickstart"), help="where everything goes"
    )


def _add_build(commands) -> None:
    command = _add_command(
        commands,
        "build",
        build,
        text="package slices as a data set (ArrayRecord) that training reads",
        epilog=(
            "data sets:\n"
            "  covid_ct_slices   the curated set: --manual_dir holds curated_data/ and, beside it,\n"
            "                    meta_data_covid.csv, meta_data_normal.csv and meta_data_cap.csv;\n"
            "                    --option masks=DIR adds the masks that `mgajax segment` made\n"
            "  covid_ct_lesions  frames with annotated lesions: --manual_dir holds frames/ and masks/,\n"
            "                    and meta_data_covid.csv, which knows MedSeg's patients\n"
            "  ct_phantom        drawn slices with known lesions; needs no --manual_dir"
        ),
    )
    command.add_argument("dataset", help="covid_ct_slices, covid_ct_lesions or ct_phantom")
    command.add_argument("--manual_dir", type=Path, help="what you downloaded")
    command.add_argument(
        "--data_dir", type=Path, default=DATA_DIR, help=f"where built sets go (default {DATA_DIR})"
    )
    command.add_argument("--builder_config", metavar="NAME", help="a variant of the data set")
    command.add_argument(
        "--option",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change a field of that variant, e.g. shortcut=0.5 or patients=500",
    )


def _add_train(commands) -> None:
    command = _add_command(
        commands,
        "train",
        train,
        text="train a model; goes on by itself when --workdir holds a run",
        epilog=(
            "any key of the config file can be set:  --config.batch_size=64\n"
            "SIGTERM and Ctrl-C save and stop; the same command goes on from there."
        ),
        overrides=True,
    )
    command.add_argument("--config", type=Path, required=True, help="a file of configs/")
    command.add_argument("--workdir", type=Path, required=True, help="the run's folder")


def _add_evaluate(commands) -> None:
    command = _add_command(
        commands,
        "evaluate",
        evaluate,
        text="measure a trained run: metrics with intervals, predictions, figures",
        epilog="keys that do not change numbers can be set:  --config.devices=1",
        overrides=True,
    )
    command.add_argument("--workdir", type=Path, required=True, help="the run's folder")
    command.add_argument("--split", choices=SPLITS, default="test", help="default: test")
    command.add_argument("--out", type=Path, metavar="FILE.json", help="default: in the run")


def _add_segment(commands) -> None:
    command = _add_command(
        commands,
        "segment",
        segment,
        text="write a lesion mask for every slice that has no annotated one",
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


def _add_benchmark(commands) -> None:
    command = _add_command(
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


def _add_experiment(commands) -> None:
    command = _add_command(
        commands,
        "experiment",
        experiment,
        text="run a table of the paper: train, evaluate, compare",
        epilog=(
            "table3: HMSANet, U-Net, SegNet and DeepLabV3 on the same slices, and Fig. 7\n"
            "Stopped, the same command goes on. A key of one model:  --config.unet.epochs=50"
        ),
        overrides=True,
    )
    command.add_argument("name", choices=("table3",))
    command.add_argument("--data", type=Path, required=True, help="a built data set")
    command.add_argument("--workdir", type=Path, required=True, help="gets a run for each model")
    command.add_argument("--plan", type=Path, help="a file of configs/experiments/")


def quickstart(arguments: argparse.Namespace, overrides: list[str]) -> None:
    """Phantom → step 1 → masks → step 2 → figures."""
    import tfds_builders
    from mgajax.quickstart import run_quickstart

    def draw(**options: object) -> Path:
        folder = arguments.workdir / "data"
        built = tfds_builders.build(
            "ct_phantom", data_dir=folder, builder_config="quickstart", **options
        )
        return built.directory

    print(run_quickstart(draw, workdir=arguments.workdir))


def build(arguments: argparse.Namespace, overrides: list[str]) -> None:
    """Build a data set and say where it is and what was found."""
    import tfds_builders

    built = tfds_builders.build(
        arguments.dataset,
        manual_dir=arguments.manual_dir,
        data_dir=arguments.data_dir,
        builder_config=arguments.builder_config,
        **dict(_option(word) for word in arguments.option),
    )
    print(built.summary)
    print(f"\n{built.status}: {built.directory}\nuse: --config.data.dir={built.directory}")


def train(arguments: argparse.Namespace, overrides: list[str]) -> None:
    """Train, or go on training."""
    from mgajax import config
    from mgajax.training.loop import train as run_training

    settings = config.load(arguments.config, overrides=overrides)
    summary = run_training(settings, workdir=arguments.workdir)
    print(f"{arguments.workdir}: {summary.steps} steps, ended by {summary.reason}")
    if summary.best_step is not None:
        loss = summary.best_cross_entropy
        print(f"best: step {summary.best_step}, validation cross-entropy {loss:.4f}")
    if summary.finished:
        print(f"next:  mgajax evaluate --workdir {arguments.workdir}")
    else:
        print("give the same command again to go on")


def evaluate(arguments: argparse.Namespace, overrides: list[str]) -> None:
    """Evaluate the best checkpoint of a run."""
    from mgajax.evaluation.run import evaluate_run

    done = evaluate_run(
        arguments.workdir, split=arguments.split, out=arguments.out, overrides=overrides
    )
    print(done.table)
    for path in done.files:
        print(path)


def segment(arguments: argparse.Namespace, overrides: list[str]) -> None:
    """Predict lesion masks for a data set of slices."""
    from mgajax.inference.segment import segment as write_masks

    done = write_masks(
        arguments.workdir,
        data=arguments.data,
        out=arguments.out,
        scales=_scales(arguments.scales),
        kind="soft" if arguments.soft else "binary",
        overrides=overrides,
    )
    print(
        f"{done.folder}: {done.written} masks written, {done.kept} were there; {done.annotated} "
        f"slices have an annotated one, {len(done.damaged)} cannot be decoded"
    )
    if not done.finished:
        print("give the same command again to go on")


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


def experiment(arguments: argparse.Namespace, overrides: list[str]) -> None:
    """Run one table of the paper."""
    from mgajax.experiments import table3

    done = table3.run_table3(
        data=arguments.data,
        workdir=arguments.workdir,
        plan=arguments.plan or table3.PLAN,
        overrides=overrides,
    )
    if done is None:
        print("stopped; give the same command again to go on")
        return
    print(done.table)
    for path in done.files:
        print(path)


def _option(word: str) -> tuple[str, object]:
    """`key=value` with the value as Python would read it; what it cannot read is text."""
    key, equals, text = word.partition("=")
    if not equals:
        raise ConfigError(f"--option {word}: write KEY=VALUE")
    try:
        return key, ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return key, text


def _scales(text: str | None) -> tuple[float, ...] | None:
    try:
        return None if text is None else tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--scales {text}: write numbers such as 0.5,1.0") from None


def _overrides(rest: list[str], *, accepted: bool) -> list[str]:
    """The `--config.key=value` words; any other unknown word is an error."""
    for word in rest:
        if not (accepted and word.startswith("--config.") and "=" in word):
            hint = "; a key is set by --config.KEY=VALUE, in one word" if accepted else ""
            raise ConfigError(f"unknown argument {word!r}{hint}; see --help")
    return rest


def _quieten(*, debug: bool) -> None:
    """Keep libraries' chatter off the terminal unless asked for."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if not debug:
        logging.getLogger("absl").setLevel(logging.CRITICAL)
        logging.getLogger("jax").setLevel(logging.ERROR)


if __name__ == "__main__":
    sys.exit(main())
