"""One environment for every test: CPU, eight devices, strict promotion, no silent broadcasting."""

import ctypes
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import jax
import pytest

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# Most of the tests' time is XLA's: compile plainly, and each program once a test process and the
# processes that it starts. They find nothing that was compiled before, and leave nothing behind.
COMPILED = tempfile.TemporaryDirectory(prefix="mgajax-tests-compiled-")
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "true"
os.environ["JAX_COMPILATION_CACHE_DIR"] = COMPILED.name
jax.config.update("jax_enable_compilation_cache", True)
jax.config.update("jax_compilation_cache_dir", COMPILED.name)
jax.config.update("jax_disable_most_optimizations", True)


def pytest_configure(config: pytest.Config) -> None:
    """Clear the compiled programs away when the tests are over."""
    config.add_cleanup(COMPILED.cleanup)


@pytest.fixture(autouse=True, scope="module")
def trimmed() -> Iterator[None]:
    """Between files, give back what compiling left in pieces: glibc keeps it, 10 GB in the end."""
    yield
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


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


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny phantom as a built data set."""
    import tfds_builders

    folder = tmp_path_factory.mktemp("data")
    return tfds_builders.build("ct_phantom", data_dir=folder, builder_config="tiny").directory


@pytest.fixture(scope="session")
def small_config(phantom: Path):
    """Loads a shipped configuration, shrunk to seconds."""

    from mgajax import config as configs

    def load(*overrides: str, model: str = "mga_resnet18"):
        return configs.load(
            f"configs/classification/{model}.py",
            overrides=[*SMALL, f"--config.data.dir={phantom}", *overrides],
        )

    return load


@pytest.fixture(scope="session")
def trained(small_config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of six steps. Tests must not change it."""
    from mgajax.training.loop import train

    workdir = tmp_path_factory.mktemp("runs") / "trained"
    train(small_config(), workdir=workdir)
    return workdir


@pytest.fixture
def unused_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
