"""A run: its folder, its data, its devices, and its compiled steps.

The folder holds `config.json` (with versions and git commit), `split.csv`, `checkpoints/`,
`metrics.jsonl`, TensorBoard events, and later `evaluation/`.
"""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from ml_collections import ConfigDict

from mgajax.data.dataset import Dataset, open_dataset
from mgajax.data.loader import NO_ROW
from mgajax.data.preparation import Preparation
from mgajax.data.sampling import sample_rows
from mgajax.distributed import job
from mgajax.progress import track
from mgajax.training import init_from, run_setup, steps
from mgajax.training.batch_inference import make_batch_inference
from mgajax.training.checkpoints import CheckpointName
from mgajax.training.compilation import compiler_options
from mgajax.training.feed import Feed, make_feed
from mgajax.training.run_folder import choose_split, read_record, read_run, write_run
from mgajax.training.sharding import Layout, check_batch_size
from mgajax.training.state import TrainState
from mgajax.training.tasks import Task
from mgajax.training.trained import restore_state


@dataclass(frozen=True)
class Run:
    """What stays the same from the first step of a run to its evaluation.

    Attributes:
      config: its configuration.
      workdir: its folder.
      data: its slices and their split.
      layout: its devices.
      feed: how a step gets its batch.
      settings: what the steps need.
      train_step: `(state, *inputs) -> (state, metrics)`.
      predict_step: `(state, *inputs) -> outputs of each example`.
    """

    config: ConfigDict
    workdir: Path
    data: Dataset
    layout: Layout
    feed: Feed
    settings: steps.StepSettings
    train_step: Callable[..., Any]
    predict_step: Callable[..., Any]

    @functools.cached_property
    def training_rows(self) -> Int[np.ndarray, "n"]:
        """Rows of an epoch."""
        return epoch_rows(self.data, self.config)

    @property
    def num_training(self) -> int:
        """Number of slices that an epoch trains on."""
        return len(self.training_rows)

    @property
    def total_steps(self) -> int:
        """Steps until the last epoch or `max_steps`, whichever comes first."""
        return total_steps(self.config, num_examples=self.num_training)

    def epochs_done(self, step: int) -> int:
        """Whole passes over the training slices after `step` steps."""
        return step * self.config.batch_size // self.num_training

    def epoch_ends(self, step: int) -> bool:
        """Whether step number `step` completed an epoch, or was the last."""
        crossed = self.epochs_done(step) > self.epochs_done(step - 1)
        return crossed or step == self.total_steps

    def first_state(self) -> TrainState:
        """The state at step 0 on every device: drawn, or from `config.init_from`."""
        drawn = run_setup.draw_variables(self.config, model=self.settings.model)
        variables = init_from.load_init_from(self.config, variables=drawn, workdir=self.workdir)
        return self.layout.replicate(run_setup.make_state(variables, self.config, self.settings))

    def restore_state(
        self, checkpoint: CheckpointName = CheckpointName.BEST, *, of: Path | None = None
    ) -> tuple[TrainState, int]:
        """The best (or another) checkpoint's state on every device, and its step.

        Args:
          checkpoint: which of the two that are kept.
          of: the folder of another run with the same network; None: this run's.

        Raises:
          CheckpointError: nothing saved yet, or it does not fit.
        """
        return restore_state(
            self.config if of is None else read_run(of),
            workdir=of or self.workdir,
            like=self.state_shapes(),
            layout=self.layout,
            checkpoint=checkpoint,
        )

    def state_shapes(self) -> TrainState:
        """Shapes and types of the state."""
        return run_setup.state_shapes(self.config, self.settings)

    def predict(
        self, state: TrainState, rows: np.ndarray, *, description: str | None = None
    ) -> dict[str, np.ndarray]:
        """Outputs of the predict step for `rows` (at least one), in order, each exactly once.

        Args:
          description: of the progress bar; None: no bar.
        """
        arrays = [outputs for _, outputs in self.stream(state, rows, description=description)]
        return {name: np.concatenate([array[name] for array in arrays]) for name in arrays[0]}

    def stream(
        self, state: TrainState, rows: np.ndarray, *, description: str | None = None
    ) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
        """`predict` batch by batch, for outputs that are too large to keep: (rows, their outputs)."""
        inference = make_batch_inference(
            lambda batch: self.predict_step(state, *self.feed.inputs(batch)),
            layout=self.layout,
            sizes=(self.config.eval_batch_size,),
            padding=NO_ROW,
        )
        batches = inference.batches(rows.astype(np.int32))
        results = inference.stream(batches)
        if description is not None:
            results = track(results, description=description, total=len(batches))
        for batch, outputs in results:
            if not np.array_equal(outputs.pop("rows"), batch):
                raise RuntimeError(
                    "the predictions are in another order than the rows they were asked for"
                )
            yield batch, outputs


def open_run(config: ConfigDict, *, workdir: Path) -> Run:
    """Begin or resume the run in `workdir`.

    Raises:
      ConfigError: an unusable setting, or `workdir` holds a run with other settings or of another
        preparation.
      DataError: the data set is missing, or not the one that the run began with.
      LeakageError: a patient stands in two splits.
    """
    setup = run_setup.set_up(config)
    check_batch_size(config.batch_size, layout=setup.layout)
    record = read_record(config, workdir=workdir)
    if not record:
        init_from.check_init_from(config, model=setup.model)
    data = _open_data(config, setup.task, workdir=workdir, record=record)
    total = total_steps(config, num_examples=len(epoch_rows(data, config)))
    settings = setup.step_settings(total_steps=total)
    job.meet("run opened")  # no process writes a new run's files before all have looked for them
    if not record and job.is_first():
        write_run(config, data, workdir=workdir)
    job.meet("run written")
    feed = make_feed(data, layout=setup.layout, residence=config.data.residence)
    train, predict = compile_steps(feed, settings, model_name=config.model.name)
    return Run(config, workdir, data, setup.layout, feed, settings, train, predict)


def reopen_run(workdir: Path, *, overrides: Sequence[str] = ()) -> Run:
    """Open the run in `workdir` under its own settings.

    Args:
      overrides: words `--config.key=value` for keys that do not change numbers.

    Raises:
      ConfigError: see `read_run` and `open_run`.
    """
    return open_run(read_run(workdir, overrides=overrides), workdir=workdir)


def run_over(config: ConfigDict, data: Dataset, *, workdir: Path) -> Run:
    """The network of the run in `workdir` over another data set, to be judged and not to be trained.

    Args:
      config: the run's, see `read_run`.
      data: prepared as the run's own slices were.
      workdir: its folder, which is left as it is.

    Raises:
      ConfigError: an unusable setting.
    """
    setup = run_setup.set_up(config)
    settings = setup.step_settings(total_steps=1)
    feed = make_feed(data, layout=setup.layout, residence=config.data.residence)
    train, predict = compile_steps(feed, settings, model_name=config.model.name)
    return Run(config, workdir, data, setup.layout, feed, settings, train, predict)


def epoch_rows(data: Dataset, config: ConfigDict) -> Int[np.ndarray, "n"]:
    """Rows of an epoch of training, as `config.data.sampling` has them."""
    rows = data.rows("train")
    return sample_rows(rows, data.table.sources[rows], sampling=config.data.sampling)


def total_steps(config: ConfigDict, *, num_examples: int) -> int:
    """Steps of `config.epochs` passes over `num_examples`, at most `config.max_steps`."""
    by_epochs = math.ceil(config.epochs * num_examples / config.batch_size)
    return min(by_epochs, config.max_steps) if config.max_steps else by_epochs


def compile_steps(
    feed: Feed, settings: steps.StepSettings, *, model_name: str
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The train step and the predict step of a feed; they compile when first called.

    Args:
      feed: where batches come from.
      settings: of the steps.
      model_name: of the network, for the compiler's options.
    """
    options = compiler_options(model_name, platform=feed.layout.platform)
    train = functools.partial(steps.train_step, settings=settings)
    predict = functools.partial(steps.predict_step, settings=settings)
    return (
        feed.compile_step(
            train, outputs=("replicated", "replicated"), donate=True, compiler_options=options
        ),
        feed.compile_step(predict, outputs="sharded", compiler_options=options),
    )


def _open_data(config: ConfigDict, task: Task, *, workdir: Path, record: dict[str, Any]) -> Dataset:
    """The data set as configuration and task need it, with the run's split."""
    return open_dataset(
        config.data.dir,
        settings=Preparation(**config.preparation),
        choose_split=functools.partial(choose_split, config=config, workdir=workdir, record=record),
        cache_dir=config.data.cache_dir or None,
        normal_mask=config.data.normal_mask,
        mask_origins=task.mask_origins,
        needs_masks=task.needs_masks,
        needs_lungs=task.needs_lungs,
    )
