"""A trained run without its data: the best checkpoint and what made it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Shaped
from ml_collections import ConfigDict

from mgajax.errors import CheckpointError
from mgajax.training import beginning
from mgajax.training.batch_inference import BatchInference, make_batch_inference
from mgajax.training.checkpoints import CheckpointName, open_checkpoints
from mgajax.training.compilation import compiler_options
from mgajax.training.run_folder import read_run
from mgajax.training.sharding import Layout, Spread
from mgajax.training.state import TrainState


@dataclass(frozen=True)
class TrainedNetwork:
    """The best state of a run, ready to apply.

    Attributes:
      config: the run's configuration.
      model: its Flax module.
      state: of the best checkpoint, on every device of `layout`.
      layout: the devices.
      step: how many steps it was trained.
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
          further: how many more arguments the function takes, the same for all images.

        Raises:
          ConfigError: no sizes, or one below 1.
        """
        variables = self.variables
        if layout is None:
            layout = self.layout
        else:
            variables = layout.replicate(jax.device_get(variables))
        others: list[Spread] = ["replicated"] * further
        program = layout.wrap(
            function,
            inputs=("replicated", "sharded", *others),
            outputs="sharded",
            compiler_options=compiler_options(self.config.model.name, platform=layout.platform),
        )

        def infer(images: Shaped[np.ndarray, "b s s 1"], *more: Any) -> Any:
            return program(variables, layout.shard(images), *more)

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
    begun = beginning.begin(config)
    like = beginning.state_shapes(config, begun.step_settings(total_steps=1))
    state, step = kept_state(config, workdir=workdir, like=like, layout=begun.layout)
    return TrainedNetwork(
        config=config, model=begun.model, state=state, layout=begun.layout, step=step
    )


def kept_state(
    config: ConfigDict,
    *,
    workdir: Path,
    like: TrainState,
    layout: Layout,
    kept: CheckpointName = CheckpointName.BEST,
) -> tuple[TrainState, int]:
    """The best (or another) checkpoint's state on every device, and its step.

    Args:
      config: the run's.
      workdir: its folder.
      like: a state of the same shapes and types.

    Raises:
      CheckpointError: nothing saved yet, or it does not fit.
    """
    with open_checkpoints(config, workdir=workdir, access="read") as checkpoints:
        step = checkpoints.step_of(kept)
        if step is None:
            raise CheckpointError(
                f"{checkpoints.folder}: no complete checkpoint; train first: mgajax train "
                f"--workdir {workdir}"
            )
        return checkpoints.restore(like, step=step, sharding=layout.replicated).state, step
