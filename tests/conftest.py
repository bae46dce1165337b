"""One environment for every test: CPU, eight devices, strict promotion, no silent broadcasting."""

import os
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference goldens and real data beside the checkout, if this machine has it."""
    if not SHARED.is_dir():
        pytest.skip("no ../shared beside the checkout: reference goldens and real data are absent")
    return SHARED
