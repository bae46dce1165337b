"""Two processes of one run, started as a scheduler would, and waited for."""

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from resumed import PATIENCE_S, finish, start

Process = subprocess.Popen[str]


def two(command: list[str], *, cache: Path, port: int) -> list[Process]:
    """Both processes, one device each."""
    joining = [f"--coordinator=127.0.0.1:{port}", "--num_processes=2"]
    return [
        start([*command, *joining, f"--process_id={number}"], cache=cache) for number in range(2)
    ]


def saved(workdir: Path, *, at_least: int) -> Callable[[], bool]:
    """Tells whether a complete checkpoint of so many steps has appeared."""

    def appeared() -> bool:
        names = [path.name for path in (workdir / "checkpoints").glob("*")]
        return any(name.isdigit() and int(name) >= at_least for name in names)

    return appeared


def wait_for(moment: Callable[[], bool], processes: Sequence[Process]) -> None:
    """Wait for the moment while all processes live."""
    end = time.monotonic() + PATIENCE_S
    while not moment():
        for process in processes:
            assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "the moment never came"
        time.sleep(0.01)


def finish_both(processes: Sequence[Process]) -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of each."""
    return [finish(process) for process in processes]
