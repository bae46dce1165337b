"""Configurations: read a Python file, apply `--config.key=value`, freeze, compare, write.

A configuration is plain Python returning an `ml_collections.ConfigDict`. Keys that a file does not
define cannot be set, so a misspelt key is an error and never a silent no-op.
"""

import hashlib
import importlib.metadata
import importlib.util
import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from mgajax.errors import ConfigError, nearest
from mgajax.files import write_text

ROOT = Path(__file__).resolve().parent.parent
"""Where the shipped `configs` and `tfds_builders` lie, in a checkout and when installed."""

VERSIONED = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")

CONFIG_FILE = "config.json"
"""In a run's folder."""

RESUMABLE = frozenset(
    {
        "parallel",
        "devices",
        "log_every",
        "checkpoint_every",
        "eval_batch_size",
        "data.dir",
        "data.cache_dir",
        "data.residence",
    }
)
"""Keys that may change when a run is taken up again: none of them changes its numbers by more than
rounding. (The data are compared by their fingerprint, not by their folder.)"""

ADDED: Mapping[str, Any] = {"init_from": "", "checkpoint_dir": ""}
"""Keys that came after the first runs, and what a run without them did."""


def load(path: str | Path, *, overrides: Sequence[str] = ()) -> ConfigDict:
    """Read a configuration file and apply overrides, with the types that the file gives.

    Args:
      path: a Python file with `get_config()`; looked for as given, then beside the package.
      overrides: words of the form `--config.key.sub=value`.

    Raises:
      ConfigError: no such file, no such key, or a value of another type.
    """
    file = _find(path)
    config = _get_config(file)
    values = flags.FlagValues()
    words = ["mgajax", *_checked(overrides)]
    try:
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=words)
        values(words)
    except (AttributeError, KeyError) as error:
        raise ConfigError(_unknown_key(file, config, overrides)) from error
    except (flags.Error, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: {_one_line(error)}") from error
    loaded: ConfigDict = values.config
    return loaded.lock()


def _get_config(file: Path) -> ConfigDict:
    """Run the file under a name of its own and call its `get_config()`."""
    specification = importlib.util.spec_from_file_location(f"mgajax_config_{file.stem}", file)
    if specification is None or specification.loader is None:
        raise ConfigError(f"{file}: not a Python file")
    module = importlib.util.module_from_spec(specification)
    try:
        specification.loader.exec_module(module)
        config = module.get_config()
    except Exception as error:  # whatever a user's file raises
        raise ConfigError(
            f"{file}: {type(error).__name__}: {_one_line(error)}; expected a function "
            "get_config() -> ConfigDict"
        ) from error
    if not isinstance(config, ConfigDict):
        raise ConfigError(f"{file}: get_config() gave {type(config).__name__}, expected ConfigDict")
    return config


def _find(path: str | Path) -> Path:
    for candidate in (Path(path), ROOT / path, ROOT / "configs" / path):
        if candidate.is_file():
            return candidate.resolve()
    shipped = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "configs").rglob("*.py"))
    known = [
        name for name in shipped if not name.endswith(("__init__.py", "common.py", "shared.py"))
    ]
    raise ConfigError(f"--config {path}: no such file; {nearest(str(path), known)}")


def _checked(overrides: Sequence[str]) -> list[str]:
    for word in overrides:
        if not word.startswith("--config.") or "=" not in word:
            raise ConfigError(f"{word!r} is not understood; write --config.KEY=VALUE")
    return list(overrides)


def _unknown_key(file: Path, config: ConfigDict, overrides: Sequence[str]) -> str:
    known = list(flatten(config))
    for word in overrides:
        key = word.removeprefix("--config.").split("=", 1)[0]
        if key not in known:
            return f"unknown key {word.split('=', 1)[0]} in {file.name}; {nearest(key, known)}"
    return f"{file}: an override does not fit"


def override_resumable(config: ConfigDict, overrides: Sequence[str]) -> ConfigDict:
    """A copy of a run's configuration with some of the RESUMABLE keys changed.

    Raises:
      ConfigError: a key that would change the run's numbers, or a value of another type.
    """
    changed = ConfigDict(config)
    for word in _checked(overrides):
        key, text = word.removeprefix("--config.").split("=", 1)
        if key not in RESUMABLE:
            raise ConfigError(
                f"--config.{key} cannot change here; {nearest(key, sorted(RESUMABLE))}"
            )
        kind = type(flatten(config)[key])
        try:
            changed.update_from_flattened_dict({key: kind(text)})
        except ValueError:
            raise ConfigError(f"{word}: expected {kind.__name__}") from None
    return changed.lock()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def flatten(config: ConfigDict, *, prefix: str = "") -> dict[str, Any]:
    """`{"data.image_size": 224, ...}`: every leaf under its dotted name."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            flat.update(flatten(value, prefix=f"{prefix}{key}."))
        else:
            flat[prefix + key] = list(value) if isinstance(value, tuple) else value
    return flat


def provenance() -> dict[str, Any]:
    """Versions, platform and git commit, for `config.json` and every report."""
    versions = {name: importlib.metadata.version(name) for name in VERSIONED}
    from mgajax import __version__

    return {
        "mgajax": __version__,
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        **versions,
    }


def _git_commit() -> str | None:
    """The checkout's commit, marked `+changes` when files differ from it; None outside git."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--dirty=+changes"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def write(config: ConfigDict, path: Path, *, extra: dict[str, Any]) -> None:
    """Write `config.json`: the configuration, versions, and what `extra` says of the run."""
    content = {"config": json.loads(config.to_json()), "provenance": provenance(), **extra}
    write_text(json.dumps(content, indent=2), path)


def read(path: Path) -> tuple[ConfigDict, dict[str, Any]]:
    """Read a `config.json`: the configuration, and all else that was written with it.

    Raises:
      ConfigError: the file is missing or not JSON.
    """
    try:
        content = json.loads(path.read_text())
        config = ConfigDict({**ADDED, **content.pop("config")})
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: not found; --workdir must name a folder that `mgajax train` made"
        ) from None
    except (json.JSONDecodeError, KeyError) as error:
        raise ConfigError(
            f"{path}: damaged ({_one_line(error)}); restore it from a copy"
        ) from error
    return config.lock(), content


def numbers_digest(config: ConfigDict) -> str:
    """A hash of every key that the numbers of a run depend on."""
    silent = RESUMABLE | {"checkpoint_dir", "init_from"}  # places, which may move
    leaves = {key: value for key, value in flatten(config).items() if key not in silent}
    return hashlib.sha256(json.dumps(leaves, sort_keys=True).encode()).hexdigest()


def assert_same_run(new: ConfigDict, *, old: ConfigDict, workdir: Path) -> None:
    """Refuse to go on with a run under settings that would change its numbers.

    Raises:
      ConfigError: names the first differing key and both values.
    """
    before, now = flatten(old), flatten(new)
    for key in sorted(before.keys() | now.keys()):
        if key in RESUMABLE:
            continue
        was, wanted = before.get(key, "(absent)"), now.get(key, "(absent)")
        if was != wanted:
            raise ConfigError(
                f"{workdir} holds a run with {key}={was!r}, asked for {wanted!r}; "
                "give the old value to resume, or another --workdir to start anew"
            )
