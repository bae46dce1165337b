"""`mgajax COMMAND`: parses the arguments, runs the command, and turns its errors into one line.

Results go to stdout, progress to stderr. Exit code 0, or non-zero with one clear line on stderr;
a Python traceback only with `--debug`.
"""

import argparse
import io
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import shtab

from mgajax import __version__
from mgajax.cli.audit import add_audit
from mgajax.cli.benchmark import add_benchmark
from mgajax.cli.build import add_build
from mgajax.cli.curate import add_curate
from mgajax.cli.doctor import add_doctor
from mgajax.cli.evaluate import add_evaluate
from mgajax.cli.experiment import add_experiment
from mgajax.cli.explain import add_explain
from mgajax.cli.export import add_export
from mgajax.cli.library_messages import counted_messages
from mgajax.cli.predict import add_predict
from mgajax.cli.quickstart import add_quickstart
from mgajax.cli.report import add_report
from mgajax.cli.segment import add_segment
from mgajax.cli.train import add_train
from mgajax.cli.tune import add_tune
from mgajax.distributed.job import leave
from mgajax.errors import ConfigError, MgajaxError
from mgajax.files import UNENCODABLE
from mgajax.progress import say
from mgajax.training.compilation import keep_compiled

COMMANDS = (
    add_quickstart,
    add_curate,
    add_audit,
    add_build,
    add_train,
    add_evaluate,
    add_explain,
    add_segment,
    add_export,
    add_predict,
    add_experiment,
    add_benchmark,
    add_tune,
    add_report,
    add_doctor,
)
"""In the order in which `--help` lists them."""

EPILOG = """\
typical order:
  mgajax doctor                                          what is installed, what is missing
  mgajax quickstart                                      everything on drawn data, minutes on a laptop
  mgajax build covid_ct_slices --manual_dir DOWNLOADS    the curated set, once
  mgajax train --config configs/classification/mga_resnet18.py --workdir runs/mga \\
      --data tensorflow_datasets/covid_ct_slices
  mgajax evaluate --workdir runs/mga
  mgajax explain --workdir runs/mga --out runs/mga/explanation
  mgajax report --workdir runs/mga --out report          report/index.html
  mgajax export --workdir runs/mga --out exported        StableHLO, ONNX, safetensors, PyTorch, Orbax

lesion masks where there are none:
  mgajax build covid_ct_lesions --manual_dir LESIONS \\
      --test_with tensorflow_datasets/covid_ct_slices    frames with annotated lesions, once
  mgajax train --config configs/segmentation/hmsanet.py --workdir runs/hmsanet \\
      --data tensorflow_datasets/covid_ct_lesions
  mgajax segment --workdir runs/hmsanet --data tensorflow_datasets/covid_ct_slices --out masks
  mgajax build covid_ct_slices --manual_dir DOWNLOADS --option masks=masks

Research use only: not a medical device.
"""


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    _print_on_any_terminal()
    parser = make_parser()
    arguments, unknown = parser.parse_known_args(words)
    _quieten(debug=arguments.debug)
    keep_compiled()
    if arguments.debug:
        code = _run(arguments, unknown)
    else:
        with counted_messages() as counter:
            code = _run(arguments, unknown)
        for line in counter.lines():
            say(f"noted by {line}")
    if code:
        leave(code)
    return code


def _run(arguments: argparse.Namespace, unknown: list[str]) -> int:
    try:
        overrides = _overrides(unknown, accepted=arguments.takes_overrides)
        if (data := getattr(arguments, "data_key", None)) is not None:
            overrides = [f"--config.data.dir={data}", *overrides]
        return arguments.run(arguments, overrides) or 0
    except MgajaxError as error:
        if arguments.debug:
            raise
        _complain(f"mgajax {arguments.command}: {error}")
        return error.exit_code
    except OSError as error:
        if arguments.debug:
            raise
        file = f"{error.filename}: " if error.filename else ""
        _complain(f"mgajax {arguments.command}: {file}{error.strerror or error}")
        return 1
    except KeyboardInterrupt:
        _complain(f"mgajax {arguments.command}: interrupted")
        return 130
    except Exception as error:
        if arguments.debug:
            raise
        line = " ".join(str(error).split())
        _complain(
            f"mgajax {arguments.command}: a fault of mgajax ({type(error).__name__}: {line}); "
            "--debug shows where; please report it"
        )
        return 1


def _complain(line: str) -> None:
    """Print an error; unlike progress, every process of a run prints its own."""
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
    shtab.add_argument_to(
        parser,
        "--print-completion",
        help="print the completion of commands, options and files for a shell",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in COMMANDS:
        add(commands)
    _complete_paths(parser)
    return parser


def _complete_paths(parser: argparse.ArgumentParser) -> None:
    """Let a shell complete file names where an option of this command, or of one below, is a path."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _complete_paths(command)
        elif action.type is Path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]


def _overrides(words: list[str], *, accepted: bool) -> list[str]:
    """The `--config.key=value` words; any other unknown word is an error."""
    for word in words:
        if not (accepted and word.startswith("--config.") and "=" in word):
            hint = "; a key is set by --config.KEY=VALUE, in one word" if accepted else ""
            raise ConfigError(f"unknown argument {word!r}{hint}; see --help")
    return words


def _print_on_any_terminal() -> None:
    """Spell out characters that the terminal lacks, so that no command fails when it prints."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=UNENCODABLE)


def _quieten(*, debug: bool) -> None:
    """Keep libraries' messages off the terminal unless asked for."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if not debug:
        logging.getLogger("absl").setLevel(logging.CRITICAL)
        logging.getLogger("jax").setLevel(logging.ERROR)
