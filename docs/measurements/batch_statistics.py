"""How much of a segmenter's error comes from its running statistics of batch normalisation.

    python docs/measurements/batch_statistics.py --workdir RUN

Validates the newest checkpoint as it is, and with each batch normalised by its own statistics, as in
training. A gap between the two says that the running statistics do not describe the data.
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from mgajax.data.loader import mask_to_float, take, to_float
from mgajax.training import run_setup
from mgajax.training.checkpoints import CheckpointName
from mgajax.training.run import reopen_run
from mgajax.training.segmentation_losses import lesion_targets


def measure(workdir: Path, *, batch_sizes: list[int]) -> dict[str, float]:
    """Pooled Dice of the validation slices, by what normalises them."""
    run = reopen_run(workdir)
    state, _ = run.restore_state(CheckpointName.NEWEST)
    variables = {"params": state.params["model"], "batch_stats": state.batch_stats}
    model = run_setup.make_model(run.config, axis_name=None)

    @jax.jit
    def running(images):
        return model.apply(variables, images, train=False).logits

    @jax.jit
    def by_batch(images):
        rngs = {"dropout": jax.random.key(0)}
        output, _ = model.apply(variables, images, train=True, mutable=["batch_stats"], rngs=rngs)
        return output.logits

    rows, examples = run.data.rows("validation"), run.feed.examples
    dice = {"running statistics": _dice(running, rows, examples, batch_size=8)}
    for size in batch_sizes:
        dice[f"statistics of each batch of {size}"] = _dice(
            by_batch, rows, examples, batch_size=size
        )
    return dice


def _dice(predict, rows: np.ndarray, examples, *, batch_size: int) -> float:
    hits = predicted = true = 0
    for at in range(0, len(rows), batch_size):
        batch = take(examples, jnp.asarray(rows[at : at + batch_size], jnp.int32))
        lesion = np.asarray(lesion_targets(mask_to_float(batch.masks), batch.mask_weights)) == 1
        logits = np.asarray(predict(to_float(batch.images)))
        guess = logits[..., 1] > logits[..., 0]
        hits += int((guess & lesion).sum())
        predicted, true = predicted + int(guess.sum()), true + int(lesion.sum())
    return 2 * hits / (predicted + true)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=[4, 8, 24])
    arguments = parser.parse_args()
    for name, dice in measure(arguments.workdir, batch_sizes=arguments.batch_sizes).items():
        print(f"{name:32}  Dice {dice:.3f}")
