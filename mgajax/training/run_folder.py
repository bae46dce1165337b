"""A run's folder: the names of its files, the record of the run, and its lock."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from mgajax import config as configs
from mgajax.config import CONFIG_FILE
from mgajax.data.cache import PreparedSet
from mgajax.data.dataset import Dataset
from mgajax.data.splits import Split, make_split, split_from_csv, write_split_csv
from mgajax.distributed import job
from mgajax.errors import DataError
from mgajax.locks import locked
from mgajax.training.config_checks import PREPARATION_KEY, check_preparation, fixed_preparation

SPLIT_FILE = "split.csv"
LOCK_FILE = ".training"

FINGERPRINT_KEY = "data_fingerprint"
"""In `config.json`, beside the configuration: the fingerprint of the prepared slices."""


def read_run(workdir: Path, *, overrides: Sequence[str] = ()) -> ConfigDict:
    """The configuration of the run in `workdir`.

    Args:
      overrides: words `--config.key=value` for keys that do not change numbers.

    Raises:
      ConfigError: `workdir` holds no run, or one of another preparation, or an override is not among
        those keys.
    """
    config, record = configs.read(workdir / CONFIG_FILE)
    check_preparation(config, record=record, workdir=workdir)
    return configs.override_resumable(config, overrides)


def read_record(config: ConfigDict, *, workdir: Path) -> dict[str, Any]:
    """What `config.json` of this run holds beside its configuration; empty for a new run.

    Raises:
      ConfigError: `workdir` holds a run with other settings or of another preparation.
    """
    if not (workdir / CONFIG_FILE).exists():
        return {}
    old, record = configs.read(workdir / CONFIG_FILE)
    configs.assert_same_run(config, old=old, workdir=workdir)
    check_preparation(config, record=record, workdir=workdir)
    return record


def write_run(config: ConfigDict, data: Dataset, *, workdir: Path) -> None:
    """Make the folder, and write the split and the configuration."""
    workdir.mkdir(parents=True, exist_ok=True)
    write_split_csv(workdir / SPLIT_FILE, table=data.table, split=data.split)
    record = {
        FINGERPRINT_KEY: data.fingerprint,
        "split": data.split.name,
        PREPARATION_KEY: fixed_preparation(config),
    }
    configs.write(config, workdir / CONFIG_FILE, extra=record)


def choose_split(
    data: PreparedSet, *, config: ConfigDict, workdir: Path, record: dict[str, Any]
) -> Split:
    """The split that the run began with; of a new run the one that its configuration describes.

    Args:
      record: see `read_record`.

    Raises:
      ConfigError, DataError, LeakageError: see `make_split` and `split_from_csv`, or the slices are
        not those that the run began with.
    """
    if not record:
        return make_split(data.table, seed=config.seed, **config.split)
    recorded = record.get(FINGERPRINT_KEY, data.fingerprint)
    if recorded != data.fingerprint:
        raise DataError(
            f"{config.data.dir} is not the data set that {workdir} began with (fingerprint "
            f"{data.fingerprint[:12]}, expected {recorded[:12]}); point --data at "
            "the old one, or start in another --workdir"
        )
    return split_from_csv(workdir / SPLIT_FILE, table=data.table)


def claim_folder(workdir: Path) -> contextlib.AbstractContextManager[None]:
    """Lock a run's folder while this process trains there; of several processes the first one locks it.

    Raises:
      ConfigError: on entering, if another process is training there.
    """
    if not job.is_first():
        return contextlib.nullcontext()
    refusal = f"{workdir}: another process is training there; wait for it, or use another --workdir"
    return locked(workdir / LOCK_FILE, guards=str(workdir), refusal=refusal)
