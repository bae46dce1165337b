"""Plant ten faults, one at a time, and show which tests of the default run catch each.

    pip install -e '.[test,mutation]'
    python tests/mutation/planted.py --jobs 2

Works on copies of the checkout; prints a table, and ends with 1 if a fault is not caught.
"""

import argparse
import concurrent.futures
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from run import copy_checkout, environment_for


@dataclass(frozen=True)
class Fault:
    """A line of `mgajax/`, what takes its place, and the tests that are run."""

    name: str
    file: str
    right: str
    wrong: str
    tests: str


FAULTS = (
    Fault(
        "batch statistics are each device's own",
        "models/normalisation.py",
        "    if settings.axis_name is None:\n        return mean, variance",
        "    return mean, variance",
        "models/test_devices.py training/test_steps.py",
    ),
    Fault(
        "gradients are averaged twice",
        "training/steps.py",
        "    grads = _sum(grads, axis)\n",
        "    grads = grads if axis is None else lax.pmean(grads, axis)\n",
        "training/test_steps.py",
    ),
    Fault(
        "a mask is not mirrored with its image",
        "data/augmentation.py",
        "    return moved[..., :1], moved[..., 1:]",
        "    upright = matrices.at[:, :, 1].multiply(jnp.sign(matrices[:, 1:, 1]))\n"
        "    return moved[..., :1], jax.vmap(_sample)(masks, upright)",
        "data/test_augmentation.py",
    ),
    Fault(
        "evaluation drops its last batch",
        "training/batch_inference.py",
        "        if running is not None:\n            yield self._read_back(*running)\n\n",
        "\n",
        "training/test_batch_inference.py evaluation/test_evaluate_by_hand.py",
    ),
    Fault(
        "a patient may stand in two splits",
        "data/patient_groups.py",
        "    if split.leaks:\n",
        "    if split:\n",
        "data/test_splits.py data/test_split_csv.py",
    ),
    Fault(
        "the running variance is the biased one",
        "models/batch_norm.py",
        "new_variance * (n / (n - 1))",
        "new_variance * (n / n)",
        "models/test_blocks.py",
    ),
    Fault(
        "a resumed run repeats a step",
        "training/loop.py",
        "    return run.layout.from_global(restored.state), restored.early_stopping",
        "    earlier = restored.state.replace(step=restored.state.step - 1)\n"
        "    return run.layout.from_global(earlier), restored.early_stopping",
        "training/test_loop.py",
    ),
    Fault(
        "σ learns at the model's rate",
        "training/state.py",
        "lambda count: log_variance_rate * schedule(count)",
        "schedule",
        "training/test_steps.py",
    ),
    Fault(
        "the CSV exchanges two classes' probabilities",
        "evaluation/predictions.py",
        "            values = map(cell, self.probabilities[i])\n",
        "            values = map(cell, self.probabilities[i][[1, 0, *range(2, len(names))]])\n",
        "evaluation/test_predictions.py evaluation/test_evaluate_by_hand.py",
    ),
    Fault(
        "a half-written checkpoint counts as the newest",
        "training/checkpoints.py",
        "        return self.manager.latest_step()",
        '        steps = [path.name.split(".")[0] for path in self.folder.iterdir()]\n'
        "        return max(map(int, filter(str.isdigit, steps)), default=None)",
        "training/test_checkpoints.py",
    ),
)


def main() -> int:
    """Plant and test."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1, help="copies that are tested side by side")
    parser.add_argument("--only", default="", help="faults whose name contains this")
    arguments = parser.parse_args()
    chosen = [fault for fault in FAULTS if arguments.only in fault.name]
    with (
        tempfile.TemporaryDirectory() as folder,
        concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool,
    ):
        caught = list(pool.map(lambda fault: _caught(fault, Path(folder)), chosen))
    print("| fault | tests that catch it |\n|---|---|")
    for fault, names in zip(chosen, caught, strict=True):
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        print(f"| {fault.name} | {', '.join(f'`{n}`' for n in names[:3]) or '**none**'}{more} |")
    return int(not all(caught))


def _caught(fault: Fault, folder: Path) -> list[str]:
    """Names of the tests of the default run that fail with the fault in place."""
    copy = folder / re.sub(r"\W+", "_", fault.name)
    copy_checkout(copy)
    file = copy / "mgajax" / fault.file
    text = file.read_text()
    assert text.count(fault.right) == 1, f"{fault.file}: {fault.right!r} is not there once"
    file.write_text(text.replace(fault.right, fault.wrong))
    tests = [f"tests/{name}" for name in fault.tests.split()]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rfE", *tests]
    process = subprocess.run(
        command, cwd=copy, env=environment_for(copy), capture_output=True, text=True
    )
    failures = re.findall(r"^(?:FAILED|ERROR) tests/(\S+)", process.stdout, re.MULTILINE)
    print(f"{fault.name}: {len(failures)} tests fail", file=sys.stderr, flush=True)
    return sorted(set(failures))


if __name__ == "__main__":
    sys.exit(main())
