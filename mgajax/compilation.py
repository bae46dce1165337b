"""Compiled programs are kept between runs, by JAX's persistent cache.

`JAX_COMPILATION_CACHE_DIR` names another folder; `JAX_ENABLE_COMPILATION_CACHE=false` keeps nothing.
The folder can be deleted at any time.
"""

import hashlib
import os
import platform
from pathlib import Path

import jax


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


def _processor() -> str:
    """What the processor can do, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    abilities = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.machine()} {platform.processor()} {abilities}"
