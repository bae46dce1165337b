"""One environment for every test: CPU, eight devices, strict promotion, no silent broadcasting."""

import ctypes
import os
import resource
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import jax
import pytest
from ml_collections import ConfigDict
from session import COMPILED, NARROW, changed_files, made_once

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# Most of the tests' time is XLA's. Compile plainly: without LLVM's optimisations, and by the older,
# quicker way to emit fusions, a tenth of the time of a user's programs. Processes that tests start
# do likewise, unless they drop XLA_FLAGS. (A flag that a version does not know ends the process.)
jax.config.update("jax_disable_most_optimizations", True)
if jax.__version_info__[:2] == (0, 10):
    plainly = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {plainly}".strip()

# And each program once a session, for all its processes. A bounded cache is a locked one, which
# processes can share.
CACHE = {
    "jax_enable_compilation_cache": True,
    "jax_compilation_cache_dir": str(COMPILED),
    "jax_compilation_cache_max_size": 16 * 2**30,
}
for name, value in CACHE.items():
    os.environ[name.upper()] = str(value).lower() if isinstance(value, bool) else str(value)
    jax.config.update(name, value)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A slow test says which fault nothing faster would find."""
    silent = {
        item.nodeid.partition("[")[0]
        for item in items
        for mark in item.iter_markers("slow")
        if not mark.kwargs.get("finds")
    }
    if silent:
        raise pytest.UsageError(
            f"slow without a reason: {', '.join(sorted(silent))}; write pytest.mark.slow(finds=...)"
        )


PEAKS: list[str] = []
"""Of the workers that have ended."""


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker tells the controller its peak memory."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["peak"] = f"{peak:.2f}"


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """The controller hears it (a hook of pytest-xdist)."""
    PEAKS.append(getattr(node, "workeroutput", {}).get("peak", "unknown"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The controller says it."""
    if PEAKS:
        terminalreporter.write_line(f"peak memory of the workers: {', '.join(PEAKS)} GB")


GROWTH = 3 * 2**29
"""Bytes after which a test process lets go of what it compiled; the disk still has it."""


def resident_bytes() -> int:
    """Memory of this process; 0 where the system does not tell."""
    statistics = Path("/proc/self/statm")
    pages = int(statistics.read_text().split()[1]) if statistics.exists() else 0
    return pages * resource.getpagesize()


@pytest.fixture(scope="session")
def released() -> list[int]:
    """Memory after each time that programs were let go."""
    return [0]


@pytest.fixture(autouse=True)
def trimmed(released: list[int]) -> Iterator[None]:
    """Between tests, give back programs when they have become many, and what compiling left in
    pieces: glibc keeps it, 10 GB in the end."""
    yield
    if resident_bytes() > released[-1] + GROWTH:
        trim = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)
        trim(0)
        if resident_bytes() > released[-1] + GROWTH:
            jax.clear_caches()
            trim(0)
            released.append(resident_bytes())


@pytest.fixture
def optimised() -> Iterator[None]:
    """Compile as users do: for tests that compute for longer than they compile."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference goldens and real data beside the checkout, if this machine has it."""
    if not SHARED.is_dir():
        pytest.skip("no ../shared beside the checkout: reference goldens and real data are absent")
    return SHARED


SMALL = (
    "--config.preparation.image_size=32",
    "--config.batch_size=8",
    "--config.eval_batch_size=8",
    "--config.max_steps=6",
    "--config.epochs=2",
    "--config.log_every=2",
    "--config.devices=2",
)


def unchanged(name: str, folder: Path) -> Iterator[Path]:
    """Lend what a session shares, and look at the end whether it was left as it was."""
    yield folder
    changed = changed_files(name)
    assert not changed, f"a test has changed {folder}, which all share: {changed}"


@pytest.fixture(scope="session")
def phantom() -> Path:
    """The tiny phantom as a built data set; prepared slices are cached beside it."""
    import tfds_builders

    def build(folder: Path) -> None:
        tfds_builders.build("ct_phantom", data_dir=folder, builder_config="tiny")

    folder = made_once("data", build)
    return next(folder.glob("ct_phantom/tiny/*"))


@pytest.fixture(scope="session")
def small_config(phantom: Path) -> Callable[..., ConfigDict]:
    """Loads a shipped configuration, its network and all else shrunk to seconds."""
    from mgajax import config as configs

    def load(*overrides: str, model: str = "mga_resnet18") -> ConfigDict:
        return configs.load(
            NARROW / f"{model}.py",
            overrides=[*SMALL, f"--config.data.dir={phantom}", *overrides],
        )

    return load


@pytest.fixture(scope="session")
def trained(small_config) -> Iterator[Path]:
    """The folder of a classifier's finished run of six steps; read only."""
    from mgajax.training.loop import train

    def make(folder: Path) -> None:
        train(small_config(), workdir=folder)

    yield from unchanged("trained", made_once("trained", make))


@pytest.fixture(scope="session")
def trained_segmenter(small_config) -> Iterator[Path]:
    """The folder of a segmenter's finished run of three steps; read only."""
    from mgajax.training.loop import train

    def make(folder: Path) -> None:
        words = (
            "--config.max_steps=3",
            "--config.log_every=1",
            "--config.split.kind=leaking_slices",
        )
        train(small_config(*words, model="hmsanet"), workdir=folder)

    yield from unchanged("trained_segmenter", made_once("trained_segmenter", make))


@pytest.fixture
def unused_port() -> int:
    """A free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
