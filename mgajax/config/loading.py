"""Configuration files: finding and running one, and applying `--config.key=value`."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from mgajax.config.keys import check_keys, check_overrides, flatten
from mgajax.errors import ConfigError, nearest

PACKAGE = Path(__file__).resolve().parents[1]

CONFIGS_FOLDER = "configs"
"""Of the shipped files: in an installed package, or beside the package in a checkout."""


def load(path: str | Path, *, overrides: Sequence[str] = ()) -> ConfigDict:
    """Read a configuration file and apply overrides, of the types of the file's values.

    Args:
      path: a Python file with `get_config()`: a path, or else a shipped file.
      overrides: words of the form `--config.key.sub=value`.

    Raises:
      ConfigError: no such file, no such key, or a value of another type.
    """
    file = _find(path)
    config = _get_config(file)
    values = flags.FlagValues()
    words = ["mgajax", *check_overrides(overrides)]
    try:
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=words)
        values(words)
    except (AttributeError, KeyError) as error:
        raise ConfigError(_unknown_key(file, config, overrides)) from error
    except (flags.Error, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: {_one_line(error)}") from error
    loaded: ConfigDict = values.config
    check_keys(loaded, source=path)
    return loaded.lock()


def shipped_file(name: str | Path) -> Path:
    """The shipped file of that name, such as `configs/quickstart.py`; never a file of the user.

    Raises:
      ConfigError: there is none.
    """
    folder = shipped_folder()
    file = (
        folder / Path(name).relative_to(CONFIGS_FOLDER)
        if Path(name).parts[:1] == (CONFIGS_FOLDER,)
        else None
    )
    if file is None or not file.is_file():
        raise ConfigError(f"{name}: no such file; {nearest(str(name), shipped_names())}")
    return file


def shipped_folder() -> Path:
    """The folder of the shipped files."""
    installed = PACKAGE / CONFIGS_FOLDER
    return installed if installed.is_dir() else PACKAGE.parent / CONFIGS_FOLDER


def shipped_names() -> list[str]:
    """Every shipped file, as `configs/quickstart.py`, sorted."""
    folder = shipped_folder()
    return sorted(f"{CONFIGS_FOLDER}/{file.relative_to(folder)}" for file in folder.rglob("*.py"))


def _get_config(file: Path) -> ConfigDict:
    """Run the file as a module of a unique name and call its `get_config()`."""
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
    if Path(path).is_file():
        return Path(path).resolve()
    for name in (str(path), f"{CONFIGS_FOLDER}/{path}"):
        if name in shipped_names():
            return shipped_file(name)
    raise ConfigError(f"--config {path}: no such file; {nearest(str(path), shipped_names())}")


def _unknown_key(file: Path, config: ConfigDict, overrides: Sequence[str]) -> str:
    known = list(flatten(config))
    for word in overrides:
        key = word.removeprefix("--config.").split("=", 1)[0]
        if key not in known:
            return f"unknown key {word.split('=', 1)[0]} in {file.name}; {nearest(key, known)}"
    return f"{file}: an override does not fit"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
