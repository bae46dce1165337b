"""Kill processes of a run at random moments until it has ended, and compare it with a run left alone.

    python tests/distributed/soak.py --data tensorflow_datasets/ct_phantom/tiny/1.0.0 --kills 10

Prints a line a kill; exit code 1 when the weights differ in a single bit.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from resumed import start
from session import NARROW

PATIENCE_S = 1800.0
STEPS_A_KILL = 30
CHECKPOINT_EVERY = 5
STARTING = 0.2
"""Share of kills that come before the first step."""


def soak(data: Path, *, kills: int, workdir: Path, seed: int, processes: int = 2) -> list[str]:
    """Train twice, once under at least `kills` kills; what differs at the end, by name.

    One kill in five comes while the processes start, the others when the run has gone on by some
    checkpoints and a random moment more, so that they fall into training and saving alike.
    """
    dice, cache = random.Random(seed), workdir / "compiled"
    words = _words(data, steps=STEPS_A_KILL * (kills + 1))
    command = [*words, f"--workdir={workdir / 'disturbed'}", f"--processes={processes}"]
    killed = 0
    while True:
        process = start(command, cache=cache)
        if killed < kills:
            last = STEPS_A_KILL * (killed + 1)
            _wait(process, dice=dice, workdir=workdir / "disturbed", last=last)
            victim = _kill_one(process, dice=dice)
            killed += victim is not None
            print(f"kill {killed}: {victim}, after step {_newest(workdir / 'disturbed')}")
        process.communicate(timeout=PATIENCE_S)
        if process.returncode == 0:
            break
    left_alone = [*words, f"--workdir={workdir / 'alone'}", f"--processes={processes}"]
    process = start(left_alone, cache=cache)
    _, err = process.communicate(timeout=PATIENCE_S)
    if process.returncode:
        raise RuntimeError(f"the run that was left alone ended badly: {err}")
    if killed < kills:
        raise RuntimeError(f"the run ended after {killed} of {kills} kills; make it longer")
    return _differences(workdir / "disturbed", workdir / "alone")


def _words(data: Path, *, steps: int) -> list[str]:
    return [
        "train",
        f"--config={NARROW / 'resnet18.py'}",
        f"--config.data.dir={data}",
        "--config.preparation.image_size=32",
        "--config.batch_size=8",
        "--config.epochs=100000",
        "--config.patience=0",
        f"--config.max_steps={steps}",
        f"--config.checkpoint_every={CHECKPOINT_EVERY}",
    ]


def _wait(
    process: "subprocess.Popen[str]", *, dice: random.Random, workdir: Path, last: int
) -> None:
    """Wait for a moment to kill at, not beyond the checkpoint of step `last`."""
    if dice.random() < STARTING:
        time.sleep(dice.uniform(1.0, 10.0))
        return
    further = dice.randrange(0, STEPS_A_KILL, CHECKPOINT_EVERY) + 1
    until = min(_newest(workdir) + further, last)
    end = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < end and _newest(workdir) < until:
        time.sleep(0.02)
    time.sleep(dice.uniform(0.0, 0.5))


def _kill_one(process: "subprocess.Popen[str]", *, dice: random.Random) -> str | None:
    """Kill one of the launcher's processes; which, or None when the run was faster."""
    tasks = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    children = tasks.read_text().split() if tasks.exists() else []
    if not children:
        return None
    victim = dice.randrange(len(children))
    os.kill(int(children[victim]), signal.SIGKILL)
    return f"process {victim}"


def _newest(workdir: Path) -> int:
    names = [path.name for path in (workdir / "checkpoints").glob("*") if path.name.isdigit()]
    return max(map(int, names), default=0)


def _differences(first: Path, second: Path) -> list[str]:
    """Names of leaves of the last checkpoints that are not equal bit for bit."""
    import jax
    import numpy as np

    from mgajax.training.checkpoints import Checkpoints
    from mgajax.training.run import reopen_run

    states = []
    for workdir in (first, second):
        run = reopen_run(workdir, overrides=["--config.devices=1"])
        with Checkpoints(workdir / "checkpoints", access="read") as checkpoints:
            step = checkpoints.newest
            if step is None:
                raise RuntimeError(f"{workdir}: no checkpoint")
            like = run.state_shapes()
            restored = checkpoints.restore(like, step=step, sharding=run.layout.replicated)
            states.append(jax.device_get(restored.state))
    leaves = zip(
        jax.tree_util.tree_leaves_with_path(states[0]), jax.tree.leaves(states[1]), strict=True
    )
    return [jax.tree_util.keystr(k) for (k, x), y in leaves if not np.array_equal(x, y)]


def main() -> int:
    """Soak, and say what differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a built data set")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        different = soak(
            arguments.data,
            kills=arguments.kills,
            workdir=Path(folder),
            seed=arguments.seed,
            processes=arguments.processes,
        )
    print("\n".join(f"differs: {name}" for name in different) or "equal, bit for bit")
    return bool(different)


if __name__ == "__main__":
    sys.exit(main())
