"""The PyTorch side does the same work: equal outputs, losses, gradients and statistics.

One SGD step without momentum changes each parameter by its gradient times the rate, so comparing
weights after the very steps that are timed compares the gradients. The rate is large: a small change
would drown in the rounding of the weight.
"""

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mgajax import config as configs
from mgajax import interop, models
from mgajax.benchmark import torch_process
from mgajax.benchmark.compiled_step import Subject, make_subject, without_augmentation
from mgajax.benchmark.torch_baseline.layers import Output
from mgajax.benchmark.torch_baseline.registry import create
from mgajax.benchmark.torch_baseline.stepping import Stepper, load
from mgajax.benchmark.torch_process import make_job, torch_weights
from mgajax.data import loader
from mgajax.interop.torch_file import definition
from mgajax.training.steps import predict_step, train_step

UNDROPPED = ("--config.model.options.dropout=0.0", "--config.model.options.auxiliary_dropout=0.0")
CASES = {
    "resnet18": ("configs/classification/resnet18.py", 64, ()),
    "resnet50": ("configs/classification/resnet50.py", 64, ()),
    "densenet121": ("configs/classification/densenet121.py", 64, ()),
    "mga_resnet18": ("configs/classification/mga_resnet18.py", 64, ()),
    "mga_narrow": ("tests/narrow/mga_resnet18.py", 64, ()),
    "mga_fixed_l1_bilinear": (
        "configs/classification/mga_resnet18.py",
        64,
        (
            "--config.loss.weighting=fixed",
            "--config.loss.attention_kind=l1",
            "--config.loss.attention_resize=bilinear",
        ),
    ),
    "cbam_official": (
        "configs/classification/resnet18_cbam.py",
        64,
        (
            "--config.model.options.placement=every_block",
            "--config.model.options.flavour=official",
        ),
    ),
    "unet": ("configs/segmentation/unet.py", 32, ()),
    "unet_bilinear": (
        "configs/segmentation/unet.py",
        32,
        ("--config.model.options.upsampling=bilinear",),
    ),
    "segnet": ("configs/segmentation/segnet.py", 64, ()),
    "deeplabv3": ("configs/segmentation/deeplabv3.py", 64, UNDROPPED),
    "hmsanet": (
        "tests/narrow/hmsanet.py",
        64,
        (UNDROPPED[0], "--config.loss.scale_weight=0.05"),
    ),
}


EVALUATED = CASES | {
    # Not trained: after a ReLU many values tie for a maximum, and rounding decides who gets the
    # gradient.
    "mga_stage_end": (
        "configs/classification/mga_resnet18.py",
        64,
        ("--config.model.options.placement=stage_end_residual",),
    ),
}


QUICK = ("resnet18", "mga_resnet18", "mga_narrow", "unet", "hmsanet", "mga_stage_end")
LARGE = pytest.mark.slow(finds="a layer of one network that its PyTorch definition has otherwise")


def by_cost(names: Iterable[str]) -> list[Any]:
    """Names for `parametrize`; those of large networks belong to the slow tests."""
    return [n if n in QUICK else pytest.param(n, marks=LARGE) for n in names]


def subject_of(name: str, *extra: str) -> Subject:
    file, size, overrides = EVALUATED[name]
    words = [
        f"--config.preparation.image_size={size}",
        "--config.batch_size=4",
        "--config.devices=1",
        "--config.parallel=jit",
        *overrides,
        *extra,
    ]
    return make_subject(without_augmentation(configs.load(file, overrides=words)))


SGD = (
    "--config.optimiser.name=sgd",
    "--config.optimiser.learning_rate=10000.0",
    "--config.optimiser.momentum=0.0",
    "--config.optimiser.weight_decay=0.0",
    "--config.optimiser.schedule=constant",
)


def stepper_of(subject: Subject, kind: str) -> Stepper:
    batch = {key: getattr(subject.batch, key) for key in ("images", "masks", "labels")}
    return Stepper(
        make_job(subject),
        weights=torch_weights(subject),
        batch=batch,
        kind=kind,
        mode="channels_last",
        device="cpu",
    )


def gap(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Norm of the difference over the norm."""
    difference = np.linalg.norm(ours.astype(np.float64) - theirs.astype(np.float64))
    return float(difference / max(np.linalg.norm(theirs.astype(np.float64)), 1e-30))


@pytest.mark.parametrize("name", by_cost(EVALUATED))
def test_eval_outputs_are_equal(name: str) -> None:
    subject = subject_of(name)
    step = jax.jit(functools.partial(predict_step, settings=subject.settings))
    ours = jax.device_get(step(subject.state, subject.batch))
    stepper = stepper_of(subject, "eval")
    with torch.inference_mode():
        theirs: Output = stepper.module.output(stepper.inputs[0])
    if subject.config.task == "classification":
        assert gap(ours["logits"], theirs.logits.numpy()) < 1e-4
        if "attention_map" in ours:
            shown = subject.settings.model.guided or max(theirs.maps)
            assert gap(ours["attention_map"], theirs.maps[shown][:, 0].numpy()) < 1e-4
    else:
        lesion = torch.softmax(theirs.logits, dim=1)[:, 1].numpy()
        assert gap(ours["lesion"], lesion) < 1e-4


@pytest.mark.parametrize("name", by_cost(CASES))
def test_one_step_has_the_same_loss_and_statistics(name: str) -> None:
    subject = subject_of(name, *SGD)
    state, metrics = one_step(subject)
    stepper = stepper_of(subject, "train")
    stepper.run(1)
    assert float(metrics["loss"]) == pytest.approx(float(stepper.loss), rel=1e-4)
    after, theirs = torch_weights(dataclasses.replace(subject, state=state)), weights_of(stepper)
    assert max(gap(after[key], theirs[key]) for key in after if ".running_" in key) < 1e-4


@pytest.mark.slow(finds="a gradient that differs by less than float32's near ties hide")
@pytest.mark.parametrize("name", CASES)
def test_one_step_has_the_same_gradients(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64: in float32 a near tie in a pooling, or a value near a ReLU's 0, goes either way.

    For the same reason pixels become x / 128 - 1, which no order of rounding changes.
    """
    for module in (loader, torch_process):
        monkeypatch.setattr(module, "IMAGE_MEAN", 128 / 255)
        monkeypatch.setattr(module, "IMAGE_STD", 128 / 255)
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        subject = subject_of(name, *SGD, "--config.model.dtype=float64")
        state, _ = one_step(subject)
        after = torch_weights(dataclasses.replace(subject, state=state))
        before = torch_weights(subject)
        stepper = stepper_of(subject, "train")
    stepper.run(1)
    theirs = weights_of(stepper)
    ours, peers = (
        np.concatenate([(side[key] - before[key]).ravel() for key in sorted(before)])
        for side in (after, theirs)
    )
    assert gap(ours, peers) < 2e-6


def one_step(subject: Subject) -> tuple[Any, Any]:
    """State and metrics after our train step."""
    step = jax.jit(functools.partial(train_step, settings=subject.settings))
    return jax.device_get(step(subject.state, subject.batch))


def weights_of(stepper: Stepper) -> dict[str, np.ndarray]:
    """What the other side has now."""
    return {name: value.numpy() for name, value in stepper.module.network.state_dict().items()}


def test_adam_and_the_learned_loss_weights_go_the_same_way() -> None:
    subject = subject_of("mga_resnet18", "--config.optimiser.schedule=constant")
    step = jax.jit(functools.partial(train_step, settings=subject.settings))
    stepper = stepper_of(subject, "train")
    state = subject.state
    for _ in range(3):
        state, metrics = step(state, subject.batch)
        stepper.run(1)
        assert float(metrics["loss"]) == pytest.approx(float(stepper.loss), rel=2e-3)
    ours = [float(state.params["log_variances"][k]) for k in subject.settings.task.learned]
    theirs = stepper.module.log_variances.detach().numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-2)
    assert abs(ours[0]) > 0.01


@pytest.mark.parametrize("name", ["unet", "segnet", "deeplabv3_resnet50"])
def test_narrow_segmenters_have_our_layers_and_shapes(name: str) -> None:
    model = models.create(name, num_classes=2, width=2)
    shapes = models.variable_shapes(model, image_size=32, channels=1)
    drawn = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), shapes)
    family, dimensions = definition(model)
    theirs = create(family, {"channels": 1, **dimensions}).state_dict()
    ours = interop.to_torch(name, drawn, width=2)
    counted = {key: tuple(value.shape) for key, value in theirs.items() if "num_batches" not in key}
    assert {key: array.shape for key, array in ours.items()} == counted


@pytest.mark.parametrize("change", ["missing", "unexpected"])
def test_weights_fit_by_name_or_are_refused(change: str) -> None:
    subject = subject_of("mga_narrow")
    job, weights = make_job(subject), torch_weights(subject)
    load(create(job.family, job.dimensions), weights)
    weights["fc.other"] = weights["fc.bias"]
    if change == "missing":
        del weights["fc.bias"], weights["fc.other"]
    with pytest.raises(RuntimeError, match="fc.bias" if change == "missing" else "fc.other"):
        load(create(job.family, job.dimensions), weights)
