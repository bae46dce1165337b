"""`config.json` in a run's folder: the configuration, versions, and the record of the run."""

import hashlib
import importlib.metadata
import json
import platform
import subprocess
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from mgajax.config.keys import check_keys, complete, deciding_keys
from mgajax.errors import ConfigError
from mgajax.files import write_json

ROOT = Path(__file__).resolve().parents[2]
"""The folder that contains `mgajax`: a checkout, or the installed packages."""

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")

CONFIG_FILE = "config.json"
"""In a run's folder."""

PATH_KEYS = frozenset({"checkpoint_dir", "init_from"})
"""Keys that name folders or files, which may move."""


def write(config: ConfigDict, path: Path, *, extra: dict[str, Any]) -> None:
    """Write `config.json`: the configuration, versions, and `extra`.

    Raises:
      ConfigError: a number that is not finite, which JSON cannot hold.
    """
    check_keys(config, source=path)
    content = {"config": json.loads(config.to_json()), "provenance": provenance(), **extra}
    write_json(content, path)


def read(path: Path) -> tuple[ConfigDict, dict[str, Any]]:
    """Read a `config.json`: the configuration, and everything else in the file.

    A key that is newer than the run has the schema's default, which is how the run was made.

    Raises:
      ConfigError: the file is missing or damaged, or has a key that the schema lacks.
    """
    content = _content(path)
    config = ConfigDict(content.pop("config"))
    check_keys(config, source=path)
    return complete(config).lock(), content


def numbers_digest(config: ConfigDict, *, workdir: Path) -> str:
    """A hash of every key that the numbers of the run in `workdir` depend on.

    It is that of the keys in its `config.json`, if there is one, so newer keys do not change it. It
    tells whose checkpoints these are, so the paths of `PATH_KEYS` do not count.
    """
    file = workdir / CONFIG_FILE
    written = ConfigDict(_content(file)["config"]) if file.exists() else config
    leaves = deciding_keys(written, excluded=PATH_KEYS)
    return hashlib.sha256(json.dumps(leaves, sort_keys=True).encode()).hexdigest()


def provenance() -> dict[str, Any]:
    """Versions, platform and git commit, for `config.json` and every report."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    from mgajax import __version__

    return {
        "mgajax": __version__,
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        **versions,
    }


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: not found; --workdir must name a folder that `mgajax train` made"
        ) from None
    except ValueError as error:  # no JSON, or no text
        raise ConfigError(f"{path}: damaged ({error}); restore it from a copy") from error
    config = content.get("config") if isinstance(content, dict) else None
    if not isinstance(config, dict):
        raise ConfigError(f"{path}: damaged (no object under 'config'); restore it from a copy")
    if "task" not in config:
        raise ConfigError(f"{path}: damaged (no key 'task'); restore it from a copy")
    checked: dict[str, Any] = content
    return checked


def _git_commit() -> str | None:
    """The checkout's commit, marked `+changes` when files differ from it; None outside a checkout."""
    if not (ROOT / ".git").exists():  # installed, perhaps below another project's repository
        return None
    command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--dirty=+changes"]
    try:
        completed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return completed.stdout.strip() or None
