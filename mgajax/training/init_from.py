"""`config.init_from`: what a run starts from in place of drawn parameters; read before step 0 alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from mgajax import models
from mgajax.config import CONFIG_FILE, read
from mgajax.distributed import job
from mgajax.errors import ConfigError
from mgajax.files import write_text
from mgajax.interop.starting_weights import SHOWN, StartingWeights, start_from
from mgajax.interop.weight_files import read_weights
from mgajax.progress import say
from mgajax.training.beginning import CHANNELS, model_options
from mgajax.training.checkpoints import CHECKPOINT_FOLDER, Checkpoints
from mgajax.training.tasks import NUM_CLASSES

REPORT_FILE = "init_from.txt"


def check(config: ConfigDict, *, model: Any) -> None:
    """Refuse a file that cannot be used, before a run's folder is made.

    Raises:
      ConfigError, DataError: see `started`.
    """
    if config.init_from:
        size = config.preparation.image_size
        shapes = models.variable_shapes(model, image_size=size, channels=CHANNELS)
        started(config, variables=shapes)


def take_over(config: ConfigDict, *, variables: dict[str, Any], workdir: Path) -> dict[str, Any]:
    """The variables that the run begins with; tells of every array where they come from.

    The short account is said, the whole one kept in the run's `init_from.txt`.

    Args:
      config: with `init_from`; empty leaves the variables as they are.
      variables: drawn.
      workdir: the run's folder, which exists.

    Raises:
      ConfigError, DataError: see `started`.
    """
    if not config.init_from:
        return variables
    found = started(config, variables=variables)
    say(found.account(most=SHOWN))
    if job.is_first():
        write_text(found.account(), workdir / REPORT_FILE)
    return found.variables


def started(config: ConfigDict, *, variables: Mapping[str, Any]) -> StartingWeights:
    """Variables with the weights of `config.init_from` in their place.

    Raises:
      ConfigError: it is not there, is of another kind, or needs a package.
      DataError: it cannot be read, or is another network's.
    """
    source = Path(config.init_from)
    return start_from(
        read_weights(_weights_of(source)),
        variables=variables,
        source=source,
        name=config.model.name,
        num_classes=NUM_CLASSES[config.task],
        options=model_options(config),
    )


def _weights_of(source: Path) -> Path:
    """Where the arrays lie: of a run its best checkpoint's state, of a checkpoint its state."""
    if (source / CONFIG_FILE).is_file() and (away := read(source / CONFIG_FILE)[0].checkpoint_dir):
        raise ConfigError(
            f"init_from={source}: that run keeps its checkpoints in {away}; export its weights "
            "first (mgajax export --format safetensors) and give that file"
        )
    if (source / CHECKPOINT_FOLDER).is_dir():
        with Checkpoints(source / CHECKPOINT_FOLDER, access="read") as checkpoints:
            if checkpoints.best is None:
                raise ConfigError(f"init_from={source}: that run has saved no checkpoint yet")
            return source / CHECKPOINT_FOLDER / str(checkpoints.best) / "state"
    return source / "state" if (source / "state").is_dir() else source
