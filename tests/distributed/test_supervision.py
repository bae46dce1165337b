"""Programs that a command starts: logs, shares of the machine, signals, limits and ends."""

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from mgajax.distributed import supervision
from mgajax.distributed.supervision import Child, Share
from mgajax.errors import ConfigError

STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def await_line(log: Path, line: str) -> None:
    ends = time.monotonic() + 30
    while supervision.last_line(log) != line:
        assert time.monotonic() < ends, log.read_text()
        time.sleep(0.02)


def test_a_program_prints_to_its_log_and_sees_its_gpus(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    code = "import os, sys; print(os.environ['CUDA_VISIBLE_DEVICES'], file=sys.stderr); sys.exit(3)"
    child = supervision.start(python(code), log=log, share=Share("2,3"))
    assert supervision.describe_exit(child.wait()) == "ended with exit code 3"
    assert log.read_text().split() == ["before", "2,3"]
    assert supervision.last_line(log) == "2,3"
    assert supervision.last_line(tmp_path / "none") == ""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be dealt out here")
def test_a_program_keeps_to_its_cores(tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    code = "import os, time; time.sleep(0.2); print(*os.sched_getaffinity(0))"
    log = tmp_path / "log"
    supervision.start(python(code), log=log, share=Share(cores=(core,))).wait()
    assert supervision.last_line(log) == str(core)


def is_running(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc to look into")
def test_killing_a_program_ends_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "GRACE_S", 0.0)
    log, number = tmp_path / "log", tmp_path / "number"
    inner = f"import os; open({str(number)!r}, 'w').write(str(os.getpid())); {STUBBORN}"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    child = supervision.start(python(code), log=log)
    await_line(log, "on")
    assert is_running(int(number.read_text()))
    supervision.end_all([child])
    assert supervision.describe_exit(child.returncode) == "was ended by SIGKILL"
    ends = time.monotonic() + 10
    while is_running(int(number.read_text())):
        assert time.monotonic() < ends, "what it began runs on"


def test_a_program_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(TimeoutError, match=r"took more than 0\.5 s"):
        supervision.run(python(STUBBORN), log=log, limit_s=0.5)
    ending = supervision.run(python("print(sum(range(10**6)))"), log=log, limit_s=60.0)
    assert (ending.code, supervision.last_line(log)) == (0, str(sum(range(10**6))))
    assert ending.cpu_s > 0
    assert ending.peak_bytes > 1e6
    assert log.read_text().count("\n$ ") == 2, "the log has the commands"


@dataclass(frozen=True)
class Sleeper:
    process: Child
    number: int


def test_slots_are_filled_until_a_signal_comes_and_a_second_one_kills(tmp_path: Path) -> None:
    started, ended = [], []

    def begin(slot: int) -> Sleeper:
        log = tmp_path / str(len(started))
        started.append(slot)
        work = Sleeper(supervision.start(python(STUBBORN), log=log), len(started))
        await_line(log, "on")
        if len(started) == 2:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
        return work

    before = signal.getsignal(signal.SIGTERM)
    supervision.run_in_slots(2, begin=begin, end=lambda *work: ended.append(work[1:]))
    assert signal.getsignal(signal.SIGTERM) is before
    assert started == [0, 1]
    killed = (-signal.SIGKILL, True)
    assert ended == [killed, killed], "the one that was being started, too"


def test_gpus_are_shared_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAX_PLATFORMS")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,2,5,7")
    assert supervision.dealt_gpus(2, option="--jobs") == ["0,2", "5,7"]
    with pytest.raises(ConfigError, match="--jobs 3: 4 GPUs do not divide by it"):
        supervision.dealt_gpus(3, option="--jobs")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert supervision.dealt_gpus(3, option="--jobs") == ["", "", ""]


def test_cores_are_shared_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 5}, raising=False)
    dealt = [share.cores for share in supervision.shares(3, option="--jobs")]
    assert dealt == [(0, 5), (1,), (2,)]
    assert supervision.shares(8, option="--jobs")[7].cores == (0, 1, 2, 5)
    assert supervision.shares(1, option="--jobs") == [Share()]
