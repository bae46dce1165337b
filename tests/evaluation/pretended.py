"""Segmentation runs whose network is a function of the prepared masks: nothing is trained."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from mgajax import config as configs
from mgajax.training.metrics_log import METRICS_FILE
from mgajax.training.run import Run, open_run
from mgajax.training.steps import weight_name
from mgajax.training.tasks import CROSS_ENTROPY

OPTIONS = (
    "--config.preparation.image_size=64",
    "--config.batch_size=8",
    "--config.eval_batch_size=8",
    "--config.max_steps=1",
    "--config.devices=1",
)

Predict = Callable[[np.ndarray], np.ndarray]
"""Prepared masks as shares of lesion, float32 [k, s, s], to probabilities of lesion."""


def segmenter_config(phantom: Path, *overrides: str, model: str = "unet"):
    """A shipped configuration, shrunk."""
    return configs.load(
        f"configs/segmentation/{model}.py",
        overrides=[*OPTIONS, f"--config.data.dir={phantom}", *overrides],
    )


def untrained(phantom: Path, workdir: Path, *, model: str = "unet") -> Run:
    """An untrained run: data, split and settings only, and a line of its log."""
    run = open_run(segmenter_config(phantom, model=model), workdir=workdir)
    (workdir / METRICS_FILE).write_text('{"step": 7, "validation/dice": 0.5}\n')
    return run


def stream_of(answers: Mapping[str, Predict]):
    """A replacement for `Run.stream` that gives the prepared outputs of each model."""

    def stream(self: Run, state, rows, *, description=None) -> Iterator[tuple[np.ndarray, dict]]:
        for chosen in filter(len, np.array_split(rows, 3)):
            shares = self.data.masks[chosen][..., 0].astype(np.float32) / np.float32(255)
            yield (
                chosen,
                {
                    "lesion": answers[self.config.model.name](shares),
                    CROSS_ENTROPY: chosen.astype(np.float32),
                    weight_name(CROSS_ENTROPY): np.full(len(chosen), 64.0, np.float32),
                },
            )

    return stream
