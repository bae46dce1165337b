"""`config.init_from`: weights that a run starts from, in place of drawn ones; read before step 0 only."""

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
from mgajax.training.checkpoints import CHECKPOINT_FOLDER, Checkpoints
from mgajax.training.run_setup import CHANNELS, model_options
from mgajax.training.tasks import NUM_CLASSES

REPORT_FILE = "init_from.txt"


def check_init_from(config: ConfigDict, *, model: Any) -> None:
    """Refuse a file that cannot be used, before a run's folder is made.

    Raises:
      ConfigError, DataError: see `starting_weights`.
    """
    if config.init_from:
        size = config.preparation.image_size
        shapes = models.variable_shapes(model, image_size=size, channels=CHANNELS)
        starting_weights(config, variables=shapes)


def load_init_from(
    config: ConfigDict, *, variables: dict[str, Any], workdir: Path
) -> dict[str, Any]:
    """The variables that the run begins with.

    Where each array comes from is listed in the run's `init_from.txt`, and in short on the terminal.

    Args:
      config: with `init_from`; where it is empty, the variables are returned as they are.
      variables: drawn.
      workdir: the run's folder, which exists.

    Raises:
      ConfigError, DataError: see `starting_weights`.
    """
    if not config.init_from:
        return variables
    weights = starting_weights(config, variables=variables)
    say(weights.account(most=SHOWN))
    if job.is_first():
        write_text(weights.account(), workdir / REPORT_FILE)
    return weights.variables


def starting_weights(config: ConfigDict, *, variables: Mapping[str, Any]) -> StartingWeights:
    """The weights of `config.init_from`, in the places of `variables`.

    Raises:
      ConfigError: no such file or folder, one of another kind, or a package is missing.
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
    """The file or folder of the arrays: in a run its best checkpoint's state, in a checkpoint its state."""
    is_run = (source / CONFIG_FILE).is_file()
    if is_run and (elsewhere := read(source / CONFIG_FILE)[0].checkpoint_dir):
        raise ConfigError(
            f"init_from={source}: that run keeps its checkpoints in {elsewhere}; export its weights "
            "first (mgajax export --format safetensors) and give that file"
        )
    if (source / CHECKPOINT_FOLDER).is_dir():
        with Checkpoints(source / CHECKPOINT_FOLDER, access="read") as checkpoints:
            if checkpoints.best is None:
                raise ConfigError(f"init_from={source}: that run has saved no checkpoint yet")
            return source / CHECKPOINT_FOLDER / str(checkpoints.best) / "state"
    return source / "state" if (source / "state").is_dir() else source
