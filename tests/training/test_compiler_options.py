"""Compiler options of a network's steps: decided in one place, and they arrive where steps compile."""

import dataclasses
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import jax
import numpy as np
import pytest
from drawn_runs import bright_run, brightness_run
from jax.errors import JaxRuntimeError
from jax.sharding import Mesh
from ml_collections import ConfigDict

from mgajax import config as configs
from mgajax import models
from mgajax.benchmark.compiled_step import identity, make_subject, step_over
from mgajax.benchmark.input_rate import _make_fixed
from mgajax.inference import Predictor
from mgajax.inference.segmenter import make_segmenter
from mgajax.training import compilation, run_setup
from mgajax.training.compilation import FASTER_WITH_PRODUCTS_ONLY, PRODUCTS_ONLY, compiler_options
from mgajax.training.run import open_run
from mgajax.training.sharding import AXIS, Layout, Parallel, make_layout
from mgajax.training.trained import TrainedNetwork

UNKNOWN: dict[str, str | bool] = {"xla_no_such_option": "1"}
REFUSED = "No such compile option: 'xla_no_such_option'"


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The networks get their options whatever this XLA knows."""
    monkeypatch.setattr(compilation, "_are_supported", lambda options: True)


@pytest.fixture
def refused(unchecked: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler refuses all that gets options: a refusal tells that they have arrived."""
    monkeypatch.setattr(compilation, "PRODUCTS_ONLY", UNKNOWN)


@pytest.fixture
def wrapped(unchecked: None, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The options of every step that was made; none of them is compiled."""
    options: list[Any] = []

    def wrap(layout: Layout, function: Any, *, compiler_options: Any = None, **_: Any) -> Any:
        options.append(compiler_options)
        return function

    monkeypatch.setattr(Layout, "wrap", wrap)
    return options


def test_classifiers_and_deeplabv3_get_them_on_a_cpu(unchecked: None) -> None:
    assert compiler_options("resnet18", platform="cpu") == PRODUCTS_ONLY
    assert compiler_options("deeplabv3_resnet50", platform="cpu") == PRODUCTS_ONLY
    for other in ("hmsanet", "unet", "segnet", ""):
        assert compiler_options(other, platform="cpu") is None
    assert set(FASTER_WITH_PRODUCTS_ONLY) <= set(models.names())


@pytest.mark.parametrize("platform", ["gpu", "tpu"])
def test_no_other_platform_gets_them_or_pays_for_asking(
    platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(options: Any) -> bool:
        raise AssertionError("compiled on the CPU")

    monkeypatch.setattr(compilation, "_are_supported", asked)
    assert compiler_options("resnet18", platform=platform) is None
    assert compiler_options("hmsanet", platform="cpu") is None


@pytest.mark.parametrize("options", [UNKNOWN, dict.fromkeys(PRODUCTS_ONLY, "NO_SUCH_TYPE")])
def test_options_unknown_to_this_xla_are_left_out_silently(
    options: dict[str, str | bool], monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setattr(compilation, "PRODUCTS_ONLY", options)
    assert compiler_options("resnet18", platform="cpu") is None
    assert capfd.readouterr() == ("", "")


def test_it_is_asked_once() -> None:
    compilation._are_supported.cache_clear()
    for name in ("resnet18", "densenet121"):
        compiler_options(name, platform="cpu")
    assert compilation._are_supported.cache_info().misses == 1


@pytest.mark.parametrize("parallel", list(Parallel))
def test_options_reach_the_compiler_called_or_compiled_ahead(parallel: Parallel) -> None:
    layout = make_layout(parallel=parallel, devices=2)
    step = layout.wrap(
        lambda x: x + 1, inputs=("sharded",), outputs="sharded", compiler_options=UNKNOWN
    )
    x = layout.shard(np.ones((4, 3), np.float32))
    with pytest.raises(JaxRuntimeError, match=REFUSED):
        step(x)
    with pytest.raises(JaxRuntimeError, match=REFUSED):
        step.lower(x).compile()


def test_pmap_over_several_processes_goes_without(monkeypatch: pytest.MonkeyPatch) -> None:
    layout = make_layout(parallel="pmap", devices=2)
    with monkeypatch.context() as patch:
        patch.setattr(jax, "process_count", lambda: 2)
        step = layout.wrap(
            lambda x: x + 1, inputs=("sharded",), outputs="sharded", compiler_options=UNKNOWN
        )
    np.testing.assert_array_equal(step(layout.shard(np.zeros((2, 1), np.float32))), [[[1]], [[1]]])


@pytest.mark.parametrize("parallel", list(Parallel))
def test_a_step_with_options_is_the_same_step(parallel: Parallel) -> None:
    """Values, where they lie, and the memory that may be reused."""
    layout = make_layout(parallel=parallel, devices=2)
    runs = []
    for options in (None, {"xla_cpu_enable_fast_math": False}):
        step = layout.wrap(
            lambda state, x: (state + 1, x * state.sum()),
            inputs=("replicated", "sharded"),
            outputs=("replicated", "sharded"),
            donate=True,
            compiler_options=options,
        )
        state = layout.replicate(np.float32([1, 2, 3]))
        results = step(state, layout.shard(np.ones((4, 3), np.float32)))
        assert state.is_deleted()
        runs.append(results)
    for first, other in zip(*runs, strict=True):
        assert first.sharding.is_equivalent_to(other.sharding, first.ndim)
        np.testing.assert_array_equal(first, other)


@pytest.mark.parametrize(("model", "expected"), [("resnet18", PRODUCTS_ONLY), ("hmsanet", None)])
def test_training_and_benchmarks_get_the_same_options(
    model: str, expected: Any, wrapped: list[Any], small_config: Any, tmp_path: Path
) -> None:
    config = small_config("--config.split.kind=leaking_slices", model=model)
    run = open_run(config, workdir=tmp_path)
    assert wrapped == [expected] * 2
    _make_fixed(run, run.data.rows("train")[:8].astype(np.int32))
    for kind in ("train", "eval"):
        step_over(run.layout, kind, settings=run.settings, model_name=model)
    assert wrapped == [expected] * 6


def narrow() -> ConfigDict:
    words = ("preparation.image_size=32", "batch_size=8", "devices=2", "data.dir=unused")
    return configs.load("tests/narrow/resnet18.py", overrides=[f"--config.{w}" for w in words])


def described(platform: str) -> Any:
    """A device that is not there."""
    return Mock(spec=jax.Device, platform=platform, device_kind=platform)


@pytest.mark.parametrize("platform", ["gpu", "tpu"])
def test_steps_for_devices_that_are_not_there_get_none(platform: str, wrapped: list[Any]) -> None:
    """The platform is that of the described devices, whatever this machine has."""
    layout = Layout(Parallel.JIT, Mesh(np.asarray([described(platform)]), (AXIS,)))
    settings = run_setup.set_up(narrow(), layout=layout).step_settings(total_steps=1)
    for kind in ("train", "eval"):
        step_over(layout, kind, settings=settings, model_name="resnet18")
    assert wrapped == [None, None]


def test_a_benchmark_says_which_it_had(unchecked: None) -> None:
    config = narrow()
    for platform, expected in (("cpu", PRODUCTS_ONLY), ("gpu", None)):
        device = described(platform)
        provenance = identity(config, devices=[device])["provenance"]
        assert provenance["compiler_options"] == expected


def test_benchmark_step_times_a_step_with_them(refused: None) -> None:
    subject = make_subject(narrow())
    with pytest.raises(JaxRuntimeError, match=REFUSED):
        subject.compile("eval")


def named(run: TrainedNetwork, name: str) -> TrainedNetwork:
    config = run.config.copy_and_resolve_references()
    config.model.name = name
    return dataclasses.replace(run, config=config)


def test_prediction_gets_them(refused: None) -> None:
    images = np.zeros((1, 128, 128), np.uint8)
    (classifier,) = Predictor(brightness_run(), variations=2).classifiers
    with pytest.raises(JaxRuntimeError, match=REFUSED):
        classifier.apply(images[..., None])
    with pytest.raises(JaxRuntimeError, match=REFUSED):
        classifier.vary(images[..., None], np.int32(1))
    with pytest.raises(JaxRuntimeError, match=REFUSED):
        Predictor(named(bright_run(), "deeplabv3_resnet50"))(images)
    assert Predictor(bright_run())(images)


def test_segmentation_gets_them(wrapped: list[Any]) -> None:
    make_segmenter(named(bright_run(), "deeplabv3_resnet50"))
    make_segmenter(bright_run())
    assert wrapped == [PRODUCTS_ONLY, None]


def stepped(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """State and metrics after a narrow classifier's train step, with the options and without."""
    subject = make_subject(narrow())
    states = []
    for names in (("resnet18",), ()):
        monkeypatch.setattr(compilation, "FASTER_WITH_PRODUCTS_ONLY", names)
        program = subject.compile("train")
        program.run(1)
        states.append(jax.device_get((program.state, program.last)))
    return states


def test_a_train_step_with_them_is_the_same_up_to_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other code adds up a convolution in another order, so float32 differs in its last digits.

    Against the largest value of each array, since sums over many pixels cancel. Not the parameters:
    Adam's first step has the size of the rate wherever the gradient is, even by rounding, not zero.
    """
    (state, metrics), (plain_state, plain_metrics) = stepped(monkeypatch)
    for name, value in plain_metrics.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-5, err_msg=name)

    def same(path: Any, first: np.ndarray, other: np.ndarray) -> None:
        bound = 1e-4 * np.abs(other).max()
        np.testing.assert_allclose(first, other, rtol=0, atol=bound, err_msg=str(path))

    ours, plain = ((first.batch_stats, first.opt_state) for first in (state, plain_state))
    jax.tree.map_with_path(same, ours, plain)
