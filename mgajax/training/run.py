"""A run: its folder, its data and split, its model, and its compiled steps.

The folder holds `config.json` (with versions and git commit), `split.csv`, `checkpoints/`,
`metrics.jsonl`, TensorBoard events, and later `evaluation/`.
"""

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from mgajax import config as configs
from mgajax.config import CONFIG_FILE as CONFIG_FILE
from mgajax.data.cache import PreparedSet, prepared_set
from mgajax.data.loader import NO_ROW
from mgajax.data.preparation import Preparation
from mgajax.data.splits import (
    Split,
    assert_patient_disjoint,
    make_split,
    split_from_csv,
    write_split_csv,
)
from mgajax.distributed import job
from mgajax.errors import DataError
from mgajax.locks import locked
from mgajax.progress import say, track
from mgajax.training import beginning, init_from, steps
from mgajax.training.batch_inference import make_batch_inference
from mgajax.training.checkpoints import CHECKPOINT_FOLDER as CHECKPOINT_FOLDER
from mgajax.training.compilation import compiler_options
from mgajax.training.feed import Feed, known_masks, make_feed
from mgajax.training.settings import PREPARATION, check_preparation, fixed_preparation
from mgajax.training.sharding import Layout, check_batch_size
from mgajax.training.state import TrainState

SPLIT_FILE = "split.csv"
LOCK_FILE = ".training"


@dataclass(frozen=True)
class Run:
    """All that stays the same from the first step of a run to its evaluation.

    Attributes:
      usable: bool [n], rows that can be examples: readable, and of a known mask if the task needs it.
      train_step: `(state, *inputs) -> (state, metrics)`.
      predict_step: `(state, *inputs) -> outputs of each example`.
    """

    config: ConfigDict
    workdir: Path
    data: PreparedSet
    usable: np.ndarray
    split: Split
    layout: Layout
    feed: Feed
    settings: steps.StepSettings
    train_step: Callable[..., Any]
    predict_step: Callable[..., Any]

    def rows(self, split: str) -> np.ndarray:
        """Usable table rows of a split, int64."""
        chosen = self.split.indices(split)
        return chosen[self.usable[chosen]]

    @functools.cached_property
    def num_training(self) -> int:
        """Training slices; asked for at every step, counted once."""
        return len(self.rows("train"))

    @property
    def total_steps(self) -> int:
        """Steps until the last epoch or `max_steps`, whichever comes first."""
        return total_steps(self.config, num_examples=self.num_training)

    def epochs_done(self, step: int) -> int:
        """Whole passes over the training slices after `step` steps."""
        return step * self.config.batch_size // self.num_training

    def epoch_ends(self, step: int) -> bool:
        """The step that brought the count to `step` completed an epoch, or was the last."""
        crossed = self.epochs_done(step) > self.epochs_done(step - 1)
        return crossed or step == self.total_steps

    def fresh_state(self) -> TrainState:
        """A state at step 0 with drawn parameters, on every device."""
        return self.layout.replicate(beginning.fresh_state(self.config, self.settings))

    def first_state(self) -> TrainState:
        """The state that the run begins with: drawn, or from `config.init_from`."""
        drawn = beginning.drawn_variables(self.config, model=self.settings.model)
        variables = init_from.take_over(self.config, variables=drawn, workdir=self.workdir)
        return self.layout.replicate(beginning.state_of(variables, self.config, self.settings))

    def state_shapes(self) -> TrainState:
        """Shapes and types of the state."""
        return beginning.state_shapes(self.config, self.settings)

    def predict(
        self, state: TrainState, rows: np.ndarray, *, description: str | None = None
    ) -> dict[str, np.ndarray]:
        """Outputs of the predict step for `rows` (at least one), in order, each exactly once.

        Args:
          description: shown with the progress; None shows nothing.
        """
        arrays = [outputs for _, outputs in self.stream(state, rows, description=description)]
        return {name: np.concatenate([array[name] for array in arrays]) for name in arrays[0]}

    def stream(
        self, state: TrainState, rows: np.ndarray, *, description: str | None = None
    ) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
        """`predict` batch by batch, for outputs that are too large to keep: (rows, their outputs)."""
        inference = make_batch_inference(
            lambda chosen: self.predict_step(state, *self.feed.inputs(chosen)),
            layout=self.layout,
            sizes=(self.config.eval_batch_size,),
            filling=NO_ROW,
        )
        batches = inference.batches(rows.astype(np.int32))
        found = inference.stream(batches)
        if description is not None:
            found = track(found, description=description, total=len(batches))
        for batch, outputs in found:
            if not np.array_equal(outputs.pop("rows"), batch):
                raise RuntimeError(
                    "predictions came back in another order than their rows went out"
                )
            yield batch, outputs


def open_run(config: ConfigDict, *, workdir: Path) -> Run:
    """Make or take up the run in `workdir`.

    Raises:
      ConfigError: an unusable setting, or `workdir` holds a run with other settings or of another
        preparation.
      DataError: the data set is missing, or not the one that the run began with.
      LeakageError: a patient stands in two splits.
    """
    begun = beginning.begin(config)
    layout, task = begun.layout, begun.task
    check_batch_size(config.batch_size, layout=layout)
    config_file = workdir / CONFIG_FILE
    extra: dict[str, Any] = {}
    if config_file.exists():
        old, extra = configs.read(config_file)
        configs.assert_same_run(config, old=old, workdir=workdir)
        check_preparation(config, kept=extra, workdir=workdir)
    else:
        init_from.check(config, model=begun.model)
    data = _prepare(config, lungs=task.needs_lungs)
    split = _take_split(config, data=data, workdir=workdir, extra=extra)
    known = known_masks(data, normal_mask=config.data.normal_mask, mask_origins=task.mask_origins)
    usable = data.usable & (known > 0) if task.needs_masks else data.usable
    total = total_steps(config, num_examples=_count_training(split, usable, data=data))
    settings = begun.step_settings(total_steps=total)
    job.meet("run opened")  # a new run's files must not be there before all have looked for them
    if not extra and job.is_first():
        workdir.mkdir(parents=True, exist_ok=True)
        write_split_csv(workdir / SPLIT_FILE, table=data.table, split=split)
        marks = {
            "data_fingerprint": data.fingerprint,
            "split": split.name,
            PREPARATION: fixed_preparation(config),
        }
        configs.write(config, config_file, extra=marks)
    job.meet("run written")
    feed = make_feed(data, layout=layout, residence=config.data.residence, mask_weights=known)
    train, predict = _compiled(feed, settings, model_name=config.model.name)
    return Run(config, workdir, data, usable, split, layout, feed, settings, train, predict)


def reopen_run(workdir: Path, *, overrides: Sequence[str] = ()) -> Run:
    """Open the run in `workdir` under its own settings.

    Args:
      overrides: words `--config.key=value` for keys that do not change numbers.

    Raises:
      ConfigError: `workdir` holds no run, or an override is not among those keys.
    """
    config, _ = configs.read(workdir / CONFIG_FILE)
    return open_run(configs.override_resumable(config, overrides), workdir=workdir)


def claimed(workdir: Path) -> contextlib.AbstractContextManager[None]:
    """Hold a run's folder for this process while it trains; of several, the first one holds it.

    Raises:
      ConfigError: on entering, if another process is training there.
    """
    if not job.is_first():
        return contextlib.nullcontext()
    busy = f"{workdir}: another process is training there; wait for it, or use another --workdir"
    return locked(workdir / LOCK_FILE, guards=str(workdir), refusal=busy)


def total_steps(config: ConfigDict, *, num_examples: int) -> int:
    """Steps of `config.epochs` passes over `num_examples`, at most `config.max_steps`."""
    by_epochs = math.ceil(config.epochs * num_examples / config.batch_size)
    return min(by_epochs, config.max_steps) if config.max_steps else by_epochs


def _prepare(config: ConfigDict, *, lungs: bool) -> PreparedSet:
    return prepared_set(
        Path(config.data.dir),
        settings=Preparation(**config.preparation),
        cache_dir=Path(config.data.cache_dir) if config.data.cache_dir else None,
        lungs=lungs,
    )


def _take_split(
    config: ConfigDict, *, data: PreparedSet, workdir: Path, extra: dict[str, Any]
) -> Split:
    """The run's own split when it has one, else a new one; free of leakage unless it says itself
    that it leaks."""
    began_with = extra.get("data_fingerprint", data.fingerprint)
    if began_with != data.fingerprint:
        raise DataError(
            f"{config.data.dir} is not the data set that {workdir} began with (fingerprint "
            f"{data.fingerprint[:12]}, expected {began_with[:12]}); point --data at "
            "the old one, or start in another --workdir"
        )
    if extra:
        split = split_from_csv(workdir / SPLIT_FILE, table=data.table)
    else:
        split = make_split(data.table, seed=config.seed, **config.split)
    for note in split.notes:
        say(f"split: {note}")
    assert_patient_disjoint(split, data.table.patients)
    return split


def _count_training(split: Split, usable: np.ndarray, *, data: PreparedSet) -> int:
    count = int(usable[split.indices("train")].sum())
    if count == 0:
        raise DataError(
            f"{data.table.directory}, split {split.name}: no usable training slice (readable, and "
            "with an annotated lesion mask if lesions are segmented); choose another "
            "--config.split or --data"
        )
    return count


def _compiled(
    feed: Feed, settings: steps.StepSettings, *, model_name: str
) -> tuple[Callable[..., Any], ...]:
    """The train step and the predict step; they compile when first called."""
    options = compiler_options(model_name, platform=feed.layout.platform)
    train = functools.partial(steps.train_step, settings=settings)
    predict = functools.partial(steps.predict_step, settings=settings)
    return (
        feed.step(
            train, outputs=("replicated", "replicated"), donate=True, compiler_options=options
        ),
        feed.step(predict, outputs="sharded", compiler_options=options),
    )
