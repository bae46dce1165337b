"""The compiler's options, and the cache of compiled programs.

The cache is JAX's persistent one. `JAX_COMPILATION_CACHE_DIR` names another folder;
`JAX_ENABLE_COMPILATION_CACHE=false` turns it off. The folder can be deleted at any time.
"""

import functools
import hashlib
import os
import platform
from pathlib import Path

import jax
import numpy as np

PRODUCTS_ONLY: dict[str, str | bool] = {
    "xla_cpu_experimental_ynn_fusion_type": ",".join(
        f"LIBRARY_FUSION_TYPE_{kind}" for kind in ("DOT", "REDUCE", "INDIVIDUAL_DOT")
    )
}
"""XLA's CPU compiler uses the library YNNPACK for matrix products and sums, not for convolutions."""

FASTER_WITH_PRODUCTS_ONLY = (
    "resnet18",
    "resnet18_cbam",
    "mga_resnet18",
    "resnet50",
    "densenet121",
    "deeplabv3_resnet50",
    "deeplabv3_resnet101",
)
"""Networks whose 3×3 convolutions on wide maps are slower in YNNPACK than in XLA's own code.

The other segmenters gain little or lose; docs/explanation/performance.md has the ratios. A new network
keeps XLA's defaults until it is measured."""


def compiler_options(model_name: str, *, platform: str) -> dict[str, str | bool] | None:
    """XLA's options for the steps of a network, beyond its defaults.

    Args:
      model_name: its name in the registry.
      platform: of the devices to compile for; they may be absent from this machine.

    Returns:
      Options for `jax.jit`; None where there are none, or where this XLA does not know them.
    """
    if platform != "cpu" or model_name not in FASTER_WITH_PRODUCTS_ONLY:
        return None
    return dict(PRODUCTS_ONLY) if _are_supported(tuple(PRODUCTS_ONLY.items())) else None


def keep_compiled() -> None:
    """Cache programs that took more than a second to compile, in `cache_folder` unless another is set."""
    if jax.config.values["jax_compilation_cache_dir"] is None:
        jax.config.update("jax_compilation_cache_dir", str(cache_folder()))


def forget_compiled() -> None:
    """Turn the cache off in this process, for measurements of compiling."""
    jax.config.update("jax_enable_compilation_cache", False)


def cache_folder() -> Path:
    """Of the cache: one for each kind of processor, since XLA compiles for the one that it runs on."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    kind = hashlib.sha256(_processor().encode()).hexdigest()[:12]
    return caches / "mgajax" / f"compiled-{kind}"


@functools.cache
def _are_supported(options: tuple[tuple[str, str | bool], ...]) -> bool:
    """Whether XLA accepts these options for a CPU; they are experimental and may change."""
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        lowered = jax.jit(lambda x: x).lower(np.float32(0))
    try:
        lowered.compile(dict(options))
    except jax.errors.JaxRuntimeError:
        return False
    return True


def _processor() -> str:
    """Kind and features of the processor, as far as the system reports them."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    features = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.machine()} {platform.processor()} {features}"
