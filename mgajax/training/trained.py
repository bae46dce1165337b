"""A trained run without its data: the best checkpoint, its network and its configuration."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Shaped
from ml_collections import ConfigDict

from mgajax.errors import CheckpointError
from mgajax.training import run_setup
from mgajax.training.batch_inference import BatchInference, make_batch_inference
from mgajax.training.checkpoints import CheckpointName, open_checkpoints
from mgajax.training.compilation import compiler_options
from mgajax.training.run_folder import read_run
from mgajax.training.sharding import DevicePlacement, Layout
from mgajax.training.state import TrainState


@dataclass(frozen=True)
class TrainedNetwork:
    """The best state of a run, ready to apply.

    Attributes:
      config: the run's configuration.
      model: its Flax module.
      state: of the best checkpoint, on every device of `layout`.
      layout: the devices.
      step: number of training steps.
    """

    config: ConfigDict
    model: Any
    state: TrainState
    layout: Layout
    step: int

    @property
    def variables(self) -> dict[str, Any]:
        """What `model.apply` takes."""
        return {"params": self.state.params["model"], "batch_stats": self.state.batch_stats}

    def inference(
        self,
        function: Callable[..., Any],
        *,
        sizes: Sequence[int],
        layout: Layout | None = None,
        further: int = 0,
    ) -> BatchInference:
        """A function of these variables, compiled for any number of images.

        Args:
          function: `(variables, images [b, s, s, 1], *further) -> tree of arrays [b, ...]`.
          sizes: of batches, see `make_batch_inference`.
          layout: other devices than the run's.
          further: number of the function's further arguments, the same for all images.

        Raises:
          ConfigError: no sizes, or one below 1.
        """
        variables = self.variables
        if layout is None:
            layout = self.layout
        else:
            variables = layout.replicate(jax.device_get(variables))
        shared: list[DevicePlacement] = ["replicated"] * further
        program = layout.wrap(
            function,
            inputs=("replicated", "sharded", *shared),
            outputs="sharded",
            compiler_options=compiler_options(self.config.model.name, platform=layout.platform),
        )

        def infer(images: Shaped[np.ndarray, "b s s 1"], *arguments: Any) -> Any:
            return program(variables, layout.shard(images), *arguments)

        return make_batch_inference(infer, layout=layout, sizes=sizes)


def load_trained(workdir: Path, *, overrides: Sequence[str] = ()) -> TrainedNetwork:
    """Load the best checkpoint, see `Criterion` (the newest if none validated).

    Args:
      workdir: a folder that `mgajax train` made.
      overrides: `--config.key=value` for keys that do not change numbers.

    Raises:
      ConfigError: no run there, one of another preparation, or a key that would change it.
      CheckpointError: nothing saved yet, or it cannot be read.
    """
    config = read_run(workdir, overrides=overrides)
    setup = run_setup.set_up(config)
    like = run_setup.state_shapes(config, setup.step_settings(total_steps=1))
    state, step = restore_state(config, workdir=workdir, like=like, layout=setup.layout)
    return TrainedNetwork(
        config=config, model=setup.model, state=state, layout=setup.layout, step=step
    )


def restore_state(
    config: ConfigDict,
    *,
    workdir: Path,
    like: TrainState,
    layout: Layout,
    checkpoint: CheckpointName = CheckpointName.BEST,
) -> tuple[TrainState, int]:
    """The best (or another) checkpoint's state on every device, and its step.

    Args:
      config: the run's.
      workdir: its folder.
      like: a state of the same shapes and types.
      layout: the devices.
      checkpoint: which of the two that are kept.

    Raises:
      CheckpointError: nothing saved yet, or it does not fit.
    """
    with open_checkpoints(config, workdir=workdir, access="read") as checkpoints:
        step = checkpoints.step_of(checkpoint)
        if step is None:
            raise CheckpointError(
                f"{checkpoints.folder}: no complete checkpoint; train first: mgajax train "
                f"--workdir {workdir}"
            )
        return checkpoints.restore(like, step=step, sharding=layout.replicated).state, step
