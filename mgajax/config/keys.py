"""The keys of a configuration: names, types, defaults, and which may change when a run is resumed."""

import math
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from mgajax.config.schema import (
    CLASSIFIERS,
    SEGMENTERS,
    SearchSettings,
    classification,
    segmentation,
)
from mgajax.errors import ConfigError, nearest

TASKS = {
    "classification": (classification, CLASSIFIERS),
    "segmentation": (segmentation, SEGMENTERS),
}
"""By task: the function that makes a configuration, and its networks."""

FREE_SECTIONS = ("model.options.", "data.drawn.", "search.space.")
"""Sections without keys in the schema: options of a network or of a drawn set, searched keys."""

SEARCH_KEYS: dict[str, Any] = {
    f"search.{key}": value for key, value in asdict(SearchSettings()).items()
}
"""Keys of a search, with their defaults."""

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
"""Keys that may change when a run is resumed: they change its numbers by rounding at most. (Data are
compared by their fingerprint, not by their folder.)"""

LATER: dict[str, Any] = {"data.sampling": "slices", "model.options.trunk_law": "published"}
"""Keys that came later, with the values that earlier runs had: these decide nothing, so that such runs keep
their names."""


def flatten(config: ConfigDict, *, prefix: str = "") -> dict[str, Any]:
    """`{"data.image_size": 224, ...}`: every leaf under its dotted name."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            flat.update(flatten(value, prefix=f"{prefix}{key}."))
        else:
            flat[prefix + key] = list(value) if isinstance(value, tuple) else value
    return flat


def deciding_keys(config: ConfigDict, *, excluded: Collection[str] = ()) -> dict[str, Any]:
    """The keys that a run's numbers depend on: all but the RESUMABLE ones, and LATER ones that are as ever.

    Args:
      config: of a run.
      excluded: further keys to leave out, such as paths, of which only the content matters.
    """
    return {
        key: value
        for key, value in flatten(config).items()
        if key not in RESUMABLE
        and key not in excluded
        and not (key in LATER and value == LATER[key])
    }


def defaults(*, task: str, network: str) -> ConfigDict:
    """Every key of a run of `task`, with the options of `network` where it is known.

    Raises:
      ConfigError: an unknown task.
    """
    if task not in TASKS:
        raise ConfigError(f"task={task!r}: {nearest(task, list(TASKS))}")
    make, networks = TASKS[task]
    if network in networks:
        return make(network)
    config = make(next(iter(networks)))
    config.model.name, config.model.options = "", ConfigDict()
    return config


def check_keys(config: ConfigDict, *, source: Path | str) -> None:
    """Refuse keys that the schema lacks, and values of another type than its default.

    Args:
      config: of a run (with a key `task`), or of several runs by name. Anything else has no schema
        and is not checked.
      source: of the configuration, for the message.

    Raises:
      ConfigError: names source, key and value.
    """
    if "task" not in config:
        for entry in config.values():
            if isinstance(entry, ConfigDict) and "task" in entry:
                check_keys(entry, source=source)
        return
    flat = flatten(config)
    schema = _schema(config, source=source)
    for key, value in flat.items():
        if key in schema:
            _check_type(key, value, default=schema[key], source=source)
        elif not key.startswith(FREE_SECTIONS):
            raise ConfigError(
                f"{source}: unknown key {key}={value!r}; {nearest(key, sorted(schema))}"
            )
        _check_finite(key, value, source=source)


def missing_keys(config: ConfigDict) -> list[str]:
    """Keys of the schema that a configuration lacks; a network's options may be left out."""
    missing = flatten(_defaults_of(config)).keys() - flatten(config).keys()
    return sorted(key for key in missing if not key.startswith(FREE_SECTIONS))


def complete(config: ConfigDict) -> ConfigDict:
    """The configuration with the schema's default for each key that it lacks."""
    completed = _defaults_of(config)
    completed.update(config.to_dict())
    return completed


def override_resumable(config: ConfigDict, overrides: Sequence[str]) -> ConfigDict:
    """A copy of a run's configuration with some of the RESUMABLE keys changed.

    Raises:
      ConfigError: a key that would change the run's numbers, or a value of another type.
    """
    changed = ConfigDict(config)
    for word in check_overrides(overrides):
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


def check_overrides(overrides: Sequence[str]) -> list[str]:
    """The words, each of the form `--config.KEY=VALUE`.

    Raises:
      ConfigError: another word.
    """
    for word in overrides:
        if not word.startswith("--config.") or "=" not in word:
            raise ConfigError(f"{word!r} is not understood; write --config.KEY=VALUE")
    return list(overrides)


def assert_same_run(new: ConfigDict, *, old: ConfigDict, workdir: Path) -> None:
    """Refuse to resume a run under settings that would change its numbers.

    Raises:
      ConfigError: names the first differing key and both values.
    """
    old_keys, new_keys = deciding_keys(old), deciding_keys(new)
    for key in sorted(old_keys.keys() | new_keys.keys()):
        unset = LATER.get(key, "(absent)")
        before, after = old_keys.get(key, unset), new_keys.get(key, unset)
        if before != after:
            raise ConfigError(
                f"{workdir} holds a run with {key}={before!r}, asked for {after!r}; "
                "give the old value to resume, or another --workdir to start anew"
            )


def _defaults_of(config: ConfigDict) -> ConfigDict:
    model = config.get("model", {})
    network = model.get("name", "") if isinstance(model, ConfigDict) else ""
    return defaults(task=str(config.get("task")), network=str(network))


def _schema(config: ConfigDict, *, source: Path | str) -> dict[str, Any]:
    """Keys outside the free sections, with their defaults."""
    try:
        flat = flatten(_defaults_of(config)) | SEARCH_KEYS
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    return {key: value for key, value in flat.items() if not key.startswith(FREE_SECTIONS)}


def _check_type(key: str, value: object, *, default: object, source: Path | str) -> None:
    kind = type(default)
    fits = isinstance(value, kind) or (kind is float and isinstance(value, int))
    if not fits or isinstance(value, bool) is not (kind is bool):
        raise ConfigError(f"{source}: {key}={value!r}: expected {kind.__name__}")


def _check_finite(key: str, value: object, *, source: Path | str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{source}: {key}={value!r}: expected a finite number")
