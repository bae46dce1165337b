"""Runs and slices for tests of inference and evaluation: nothing is trained."""

import contextlib
import dataclasses
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from mgajax import config as configs
from mgajax.config import CONFIG_FILE
from mgajax.evaluation import evaluate as evaluating
from mgajax.evaluation import evaluate_segmenter
from mgajax.imaging.pictures import encode_png
from mgajax.models import ClassifierOutput, SegmenterOutput
from mgajax.training import run_setup
from mgajax.training.checkpoints import CHECKPOINT_FOLDER, Checkpoints
from mgajax.training.early_stopping import EarlyStopping
from mgajax.training.metrics_log import METRICS_FILE
from mgajax.training.run import open_run
from mgajax.training.sharding import make_layout
from mgajax.training.state import TrainState, create_state
from mgajax.training.trained import TrainedNetwork
from tfds_builders.ct_phantom import CtPhantom, PhantomConfig

SIDE = 96
WHITE = 255


class PartlyAnnotated(CtPhantom):
    """24 drawn slices of several sizes whose lesions are white; about every third one annotated."""

    name = "partly_annotated"
    BUILDER_CONFIGS: ClassVar = [
        PhantomConfig(name="small", patients=24, slices_per_patient=1, size=SIDE)
    ]

    def __init__(self, *, damage: Callable[[int], bool] = lambda _: False, **options: Any) -> None:
        self.damage = damage
        super().__init__(**options)

    def _generate_examples(self, *args: Any, **options: Any) -> Iterator[tuple[str, dict]]:
        for key, example in super()._generate_examples(*args, **options):
            number = int(re.findall(r"\d+", key)[0])
            yield key, example | _redrawn(example, number, damaged=self.damage(number))


def _redrawn(example: dict[str, Any], number: int, *, damaged: bool) -> dict[str, Any]:
    part = np.s_[: SIDE - 8 * (number % 3), : SIDE - 4 * (number % 5)]
    image, lesion = (pixels(example[name])[part] for name in ("image", "lesion_mask"))
    encoded = encode_png(np.where(lesion > 0, np.uint8(WHITE), image // 2))
    annotated = number % 3 == 0
    return {
        "image": flipped(encoded) if damaged else encoded,
        "lesion_mask": encode_png(lesion * np.uint8(annotated)),
        "mask_origin": "annotated" if annotated else "none",
        "flags": "upside_down" if number % 2 else "",
        "file_name": f"Case {number}%{example['file_name']}",
    }


def pixels(data: bytes) -> np.ndarray:
    """Grey levels of a picture file's bytes."""
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("L"))


def flipped(data: bytes) -> bytes:
    """The bytes with one of the middle ones inverted."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


def build(data_dir: Path, **options: Any) -> Path:
    """Build `PartlyAnnotated`; returns the version's folder."""
    builder = PartlyAnnotated(data_dir=data_dir, config="small", **options)
    builder.download_and_prepare()
    return Path(builder.data_dir)


class Bright(nn.Module):
    """A stand-in for a trained network: lesion is what is brighter than a learned level."""

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool = False) -> SegmenterOutput:
        level = self.param("level", nn.initializers.zeros, ())
        lesion = jnp.float32(20) * (images - level)
        return SegmenterOutput(logits=jnp.concatenate([jnp.zeros_like(lesion), lesion], axis=-1))


def bright_run(
    *,
    devices: int = 2,
    parallel: str = "pmap",
    batch_size: int = 4,
    level: float = 0.6,
    **preparation: Any,
) -> TrainedNetwork:
    """`Bright` as if it had been trained on pictures of 128 pixels a side, as "unet"."""
    layout = make_layout(parallel=parallel, devices=devices)
    prepared = {"image_size": 128, "normalise": "none", "orientation": "upright"} | preparation
    config = {
        "model": {"name": "unet", "dtype": "float32", "options": {}},
        "preparation": prepared,
        "eval_batch_size": batch_size,
    }
    state = TrainState(
        step=np.int32(7),
        params={"model": {"level": np.float32(level)}, "log_variances": {}},
        batch_stats={},
        opt_state=(),
    )
    return TrainedNetwork(
        config=ConfigDict(config),
        model=Bright(),
        state=layout.replicate(state),
        layout=layout,
        step=7,
    )


def untrained_run(workdir: Path, *overrides: str) -> Path:
    """The folder of a tiny HMSANet's run with a checkpoint of step 0; no step is compiled."""
    config = configs.load(
        "configs/segmentation/hmsanet.py",
        overrides=[
            "--config.data.dir=unused",
            "--config.preparation.image_size=32",
            "--config.model.options.trunk=hrnet_tiny",
            "--config.preparation.orientation=upright",
            "--config.eval_batch_size=4",
            *overrides,
        ],
    )
    workdir.mkdir(parents=True)
    configs.write(config, workdir / CONFIG_FILE, extra={})
    _save(
        run_setup.draw_state(config, run_setup.set_up(config).step_settings(total_steps=1)), workdir
    )
    return workdir


def checkpointed(workdir: Path, config: ConfigDict, params: dict[str, Any]) -> Path:
    """The folder of a run with data, a split, an empty log and a checkpoint of these parameters."""
    settings = open_run(config, workdir=workdir).settings
    terms, optimiser = settings.task.learned, settings.optimiser
    _save(create_state({"params": params}, terms=terms, optimiser=optimiser), workdir)
    (workdir / METRICS_FILE).write_text("")
    return workdir


def _save(state: TrainState, workdir: Path) -> None:
    with Checkpoints(workdir / CHECKPOINT_FOLDER) as checkpoints:
        checkpoints.save(state, early_stopping=EarlyStopping(patience=0), loss=1.0)


FIGURES = {
    evaluating: (
        "roc_figure",
        "confusion_figure",
        "calibration_figure",
        "training_curves",
        "attention_panel",
    ),
    evaluate_segmenter: ("slice_dice_figure", "training_curves", "segmentation_panel"),
}
"""What draws, by the module that calls it."""


@contextlib.contextmanager
def without_figures() -> Iterator[None]:
    """An evaluation only names its figures: drawing takes most of its time."""
    with pytest.MonkeyPatch.context() as patch:
        for module, names in FIGURES.items():
            for name in names:
                patch.setattr(module, name, lambda *_, path, **__: path)
        yield


class Brightness(nn.Module):
    """A stand-in for a trained classifier: the brighter a picture, the surer of COVID-19."""

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool = False) -> ClassifierOutput:
        level = self.param("level", nn.initializers.zeros, ())
        score = jnp.mean(images, axis=(1, 2, 3)) - level
        logits = jnp.stack([jnp.zeros_like(score), score, -score], axis=1)
        return ClassifierOutput(
            logits=logits, attention={"stage1": jax.nn.sigmoid(images)}, guided="stage1"
        )


def brightness_run(*, level: float = 0.0, **preparation: Any) -> TrainedNetwork:
    """`Brightness` as if it had been trained, as "resnet18"."""
    run = bright_run(level=level, devices=1, **preparation)
    augmentation = {"flip": 0.5, "rotation_degrees": 5.0, "brightness": 0.3}
    config = run.config.to_dict() | {"seed": 3, "augmentation": augmentation}
    config["model"]["name"] = "resnet18"
    return dataclasses.replace(run, config=ConfigDict(config), model=Brightness())
