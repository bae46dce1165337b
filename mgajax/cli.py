"""`mgajax COMMAND`: one thin function a command.

Results go to stdout, progress to stderr. Exit code 0, or non-zero with one clear line on stderr;
a Python traceback only with `--debug`.
"""

import argparse
import ast
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mgajax import __version__
from mgajax.audit.command import add_audit
from mgajax.benchmark.command import add_benchmark
from mgajax.compilation import keep_compiled
from mgajax.curation.command import add_curate
from mgajax.errors import ConfigError, MgajaxError
from mgajax.experiments.command import add_experiment
from mgajax.experiments.tune_command import add_tune
from mgajax.explanation.command import add_explain
from mgajax.export.command import add_export
from mgajax.hosts.job import leave
from mgajax.inference.command import add_segment
from mgajax.prediction.command import add_predict
from mgajax.schema import SPLITS
from mgajax.site.command import add_report
from mgajax.training.command import add_train

DATA_DIR = Path("tensorflow_datasets")

EPILOG = """\
typical order:
  mgajax quickstart                                      everything on drawn data, minutes on a laptop
  mgajax build covid_ct_slices --manual_dir DOWNLOADS    the curated set, once
  mgajax train --config configs/classification/mga_resnet18.py --workdir runs/mga \\
      --config.data.dir=tensorflow_datasets/covid_ct_slices
  mgajax evaluate --workdir runs/mga
  mgajax explain --workdir runs/mga --out runs/mga/explanation
  mgajax report --workdir runs/mga --out report          report/index.html
  mgajax export --workdir runs/mga --out exported        StableHLO, ONNX, safetensors, PyTorch, Orbax

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
    keep_compiled()
    code = _run(arguments, rest)
    if code:
        leave(code)
    return code


def _run(arguments: argparse.Namespace, rest: list[str]) -> int:
    try:
        overrides = _overrides(rest, accepted=arguments.takes_overrides)
        return arguments.run(arguments, overrides) or 0
    except MgajaxError as error:
        if arguments.debug:
            raise
        _complain(f"mgajax {arguments.command}: {error}")
        return error.exit_code
    except OSError as error:
        if arguments.debug:
            raise
        place = f"{error.filename}: " if error.filename else ""
        _complain(f"mgajax {arguments.command}: {place}{error.strerror or error}")
        return 1
    except KeyboardInterrupt:
        _complain(f"mgajax {arguments.command}: interrupted")
        return 130


def _complain(line: str) -> None:
    """Print an error, also where another process of the run does the talking."""
    print(line, file=sys.stderr, flush=True)


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
    add_curate(commands, _add_command, describe=_describe)
    add_audit(commands, _add_command)
    _add_build(commands)
    add_train(commands, _add_command)
    _add_evaluate(commands)
    add_explain(commands, _add_command)
    add_segment(commands, _add_command)
    add_export(commands, _add_command)
    add_predict(commands, _add_command)
    add_experiment(commands, _add_command, draw=_draw)
    add_benchmark(commands, _add_command)
    add_tune(commands, _add_command)
    add_report(commands, _add_command)
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
    command.add_argument(
        "--checkpoint", choices=("best", "newest"), default="best", help="default: best"
    )
    command.add_argument("--out", type=Path, metavar="FILE.json", help="default: in the run")


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


def _draw(folder: Path, **options: object) -> Path:
    """A phantom with these options, for experiments."""
    import tfds_builders

    return tfds_builders.build("ct_phantom", data_dir=folder, **options).directory


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


def _describe(folder: Path) -> None:
    """The card of a set that was just curated, in its `card/`."""
    from mgajax.dataset_report import report_dataset

    report_dataset(folder, out=folder / "card")


def evaluate(arguments: argparse.Namespace, overrides: list[str]) -> None:
    """Evaluate a checkpoint of a run."""
    from mgajax.evaluation.run import evaluate_run
    from mgajax.training.checkpoints import Kept

    done = evaluate_run(
        arguments.workdir,
        split=arguments.split,
        out=arguments.out,
        checkpoint=Kept(arguments.checkpoint),
        overrides=overrides,
    )
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
