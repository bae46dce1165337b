"""The training loop. One screen, for every task."""

import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from mgajax import models
from mgajax.distributed import job
from mgajax.files import write_text
from mgajax.progress import say, track
from mgajax.training.checkpoints import Checkpoints, open_checkpoints
from mgajax.training.early_stopping import EarlyStopping
from mgajax.training.interruption import Interruption
from mgajax.training.metrics_log import MetricsLog, not_finite_error
from mgajax.training.run import Run, open_run
from mgajax.training.run_folder import claim_folder
from mgajax.training.state import TrainState
from mgajax.training.steps import weight_name
from mgajax.training.tasks import CROSS_ENTROPY

SUMMARY_FILE = "summary.json"
PARAMETERS_FILE = "parameters.txt"


@dataclass(frozen=True)
class Summary:
    """How a call of `train` ended.

    Attributes:
      reason: `epochs`, `max_steps`, `early_stopping`, or the name of the signal that stopped it.
      steps: steps done in all.
      best_step: that of the best checkpoint, None when nothing was validated.
      best: its criterion: `validation cross-entropy 0.1234`.
    """

    reason: str
    steps: int
    best_step: int | None
    best: str | None

    @property
    def finished(self) -> bool:
        """Whether the same command again would train no further."""
        return not self.reason.startswith("SIG")


def train(config: ConfigDict, *, workdir: Path) -> Summary:
    """Train to the end; a run that was stopped is resumed.

    Every step follows from the state and (seed, step) alone, so a run that was killed and resumed
    equals an undisturbed one: bit for bit on a CPU, elsewhere as far as the device's sums are
    reproducible.

    Raises:
      ConfigError, DataError, LeakageError: see `open_run`.
      TrainingError: a loss or gradient is not finite; the last good checkpoint is kept.
      CheckpointError: a save failed; older checkpoints are kept.
    """
    run = open_run(config, workdir=workdir)
    with (
        claim_folder(workdir),
        open_checkpoints(config, workdir=workdir) as checkpoints,
        Interruption() as interruption,
    ):
        state, stopping = _restore_or_draw(run, checkpoints)
        first, last = int(state.step), run.total_steps
        with _log(run, first=first) as log:
            inputs = run.feed.training_batches(
                run.training_rows,
                first=first,
                last=first if stopping.stop else last,
                batch_size=config.batch_size,
                seed=config.seed,
            )
            for step, batch in track(inputs, description="training", total=last - first):
                state, metrics = run.train_step(state, *batch)
                done = step + 1
                stop_requested = interruption.should_stop(done)
                log.add_training_step(done, metrics)
                if run.epoch_ends(done):
                    stopping = _end_epoch(run, state, done, stopping, log, checkpoints)
                elif stop_requested or _is_due(done, every=config.checkpoint_every):
                    log.flush()
                    checkpoints.save(run.layout.to_global(state), early_stopping=stopping)
                if stop_requested or stopping.stop:
                    break
            inputs.close()
    return _summarise(run, int(state.step), stopping, interruption)


def _restore_or_draw(run: Run, checkpoints: Checkpoints) -> tuple[TrainState, EarlyStopping]:
    """The newest checkpoint's state, or a new run's."""
    newest = checkpoints.newest
    if newest is None:
        state = run.first_state()
        _announce(run, state)
        return state, EarlyStopping(patience=run.config.patience)
    restored = checkpoints.restore(run.state_shapes(), step=newest, sharding=run.layout.replicated)
    say(f"resuming {run.workdir} at step {restored.step} of {run.total_steps}")
    return run.layout.from_global(restored.state), restored.early_stopping


def _announce(run: Run, state: TrainState) -> None:
    """Say which network is trained, on which data and devices."""
    variables = {"params": state.params["model"], "batch_stats": state.batch_stats}
    if job.is_first():
        write_text(models.describe(variables), run.workdir / PARAMETERS_FILE)
    counts = ", ".join(
        f"{len(run.data.rows(name)):,} {name}" for name in ("train", "validation", "test")
    )
    say(f"data: {run.config.data.dir} ({counts} slices; split {run.data.split.name})")
    if run.num_training > len(run.data.rows("train")):
        say(f"epoch: {run.num_training:,} slices, those of small sources more than once")
    say(f"model: {run.config.model.name}, {models.count(variables):,} parameters")
    say(
        f"devices: {run.layout.num_devices} by {run.layout.parallel}, batch "
        f"{run.config.batch_size}, data on the {'device' if run.feed.resident else 'host'}"
    )


def _log(run: Run, *, first: int) -> MetricsLog:
    return MetricsLog(
        run.workdir if job.is_first() else None,
        first=first,
        every=run.config.log_every,
        batch_size=run.config.batch_size,
        devices=run.layout.num_devices,
    )


def _end_epoch(
    run: Run,
    state: TrainState,
    step: int,
    stopping: EarlyStopping,
    log: MetricsLog,
    checkpoints: Checkpoints,
) -> EarlyStopping:
    """Validate, log, save, and update early stopping."""
    log.flush()
    values = validate(run, state)
    saved = run.layout.to_global(state)
    if not values:
        checkpoints.save(saved, early_stopping=stopping)
        return stopping
    cross_entropy = values[CROSS_ENTROPY]
    if not math.isfinite(cross_entropy):
        raise not_finite_error("validation cross-entropy", cross_entropy, step=step)
    task = run.settings.task
    loss = task.criterion.loss(values)
    finds_nothing = task.criterion.finds_nothing(loss)
    stopping = stopping.update(loss, step=step, counts=not finds_nothing)
    log.write(step, values, split="validation")
    name = task.headline
    score = f", {name} {values[name]:.3f}" if name in values else ""
    score += ", no lesion found yet" if finds_nothing else ""
    mark = "best so far" if stopping.improved else f"best at step {stopping.best_step}"
    epoch = run.epochs_done(step)
    say(f"epoch {epoch}: validation cross-entropy {cross_entropy:.4f}{score}; {mark}")
    checkpoints.save(saved, early_stopping=stopping, loss=loss)
    log.restart_clock(step)
    return stopping


def validate(run: Run, state: TrainState) -> dict[str, float]:
    """Means of the task's terms and scores over the validation slices, summed in float64.

    Every slice counts once, by its weight: 1, or its valid pixels, or 0 where no mask is known.

    Returns:
      Each term and score with a weight above 0; nothing when the split has no slices.
    """
    rows = run.data.rows("validation")
    if len(rows) == 0:
        return {}
    outputs: dict[str, list[np.ndarray]] = {}
    for _, batch in run.stream(state, rows):
        for name, array in batch.items():
            if array.ndim == 1:
                outputs.setdefault(name, []).append(array.astype(np.float64))
    columns = {name: np.concatenate(arrays) for name, arrays in outputs.items()}
    weights_of = {name: columns.get(weight_name(name)) for name in columns}
    return {
        name: float((columns[name] * weights).sum() / weights.sum())
        for name, weights in weights_of.items()
        if weights is not None and weights.sum() > 0
    }


def _summarise(run: Run, done: int, stopping: EarlyStopping, interruption: Interruption) -> Summary:
    if interruption.requested and done < run.total_steps and not stopping.stop:
        reason = interruption.requested.name
    elif stopping.stop:
        reason = "early_stopping"
    else:
        reason = "max_steps" if run.config.max_steps == done else "epochs"
    validated = stopping.best_step >= 0
    summary = Summary(
        reason=reason,
        steps=done,
        best_step=stopping.best_step if validated else None,
        best=run.settings.task.criterion.describe(stopping.best) if validated else None,
    )
    content = asdict(summary) | {"finished": summary.finished, "time": time.time()}
    if job.is_first():
        write_text(json.dumps(content, indent=2), run.workdir / SUMMARY_FILE)
    return summary


def _is_due(step: int, *, every: int) -> bool:
    return every > 0 and step % every == 0
