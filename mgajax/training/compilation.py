"""What the compiler is told, and where compiled programs are kept between runs.

JAX's persistent cache keeps them. `JAX_COMPILATION_CACHE_DIR` names another folder;
`JAX_ENABLE_COMPILATION_CACHE=false` keeps nothing. The folder can be deleted at any time.
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
"""XLA's CPU compiler leaves matrix products and sums to the library YNNPACK, and no convolutions."""

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

The other segmenters gain next to nothing or lose; docs/explanation/performance.md has the ratios. A new network
keeps XLA's defaults until it is measured."""


def compiler_options(model_name: str, *, platform: str) -> dict[str, str | bool] | None:
    """What XLA is told beside its defaults when the steps of a network are compiled.

    Args:
      model_name: its name in the registry.
      platform: of the devices that it is compiled for, which may be others than this machine's.

    Returns:
      Options as `jax.jit` takes them; None where there are none, or where this XLA knows them not.
    """
    if platform != "cpu" or model_name not in FASTER_WITH_PRODUCTS_ONLY:
        return None
    return dict(PRODUCTS_ONLY) if _are_known(tuple(PRODUCTS_ONLY.items())) else None


def keep_compiled() -> None:
    """Keep programs that took more than a second to compile; a folder that was chosen stays."""
    if jax.config.values["jax_compilation_cache_dir"] is None:
        jax.config.update("jax_compilation_cache_dir", str(default_folder()))


def forget_compiled() -> None:
    """Compile anew in this process: where compiling itself is measured."""
    jax.config.update("jax_enable_compilation_cache", False)


def default_folder() -> Path:
    """One for each kind of processor: XLA compiles for the very one it runs on."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    kind = hashlib.sha256(_processor().encode()).hexdigest()[:12]
    return caches / "mgajax" / f"compiled-{kind}"


@functools.cache
def _are_known(options: tuple[tuple[str, str | bool], ...]) -> bool:
    """Whether XLA takes these options for a CPU; they are experimental and may go or change."""
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        lowered = jax.jit(lambda x: x).lower(np.float32(0))
    try:
        lowered.compile(dict(options))
    except jax.errors.JaxRuntimeError:
        return False
    return True


def _processor() -> str:
    """What the processor can do, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    abilities = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.machine()} {platform.processor()} {abilities}"
