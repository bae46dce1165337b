"""Initial values: the published laws, one generator per parameter."""

import functools
import time

import flax.traverse_util
import numpy as np
import pytest

from mgajax import models

NARROW = {"width": 16, "depths": (2, 1, 1, 1)}


@functools.lru_cache(maxsize=1)
def start(name: str, *, seed: int = 0, channels: int = 1, **options) -> dict[str, np.ndarray]:
    """Initial values by path; tests of one network that follow each other draw it once."""
    model = models.create(name, num_classes=3, **options)
    variables = models.init_variables(model, image_size=64, channels=channels, seed=seed)
    return flax.traverse_util.flatten_dict(variables, sep="/")


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others() -> None:
    first, again, other = (start.__wrapped__("resnet18", seed=seed, **NARROW) for seed in (0, 0, 1))
    kernel = "params/stage2/block0/conv1/kernel"
    assert all(np.array_equal(first[path], again[path]) for path in first)
    assert not np.array_equal(first[kernel], other[kernel])


def test_a_parameter_does_not_depend_on_other_layers() -> None:
    plain, guided = start("resnet18", **NARROW), start("mga_resnet18", **NARROW)
    assert set(plain) < set(guided)
    assert all(np.array_equal(plain[path], guided[path]) for path in plain)


def test_layers_of_one_shape_start_differently() -> None:
    drawn = start("resnet18", **NARROW)
    first, second = (drawn[f"params/stage1/block{i}/conv1/kernel"] for i in (0, 1))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    ("name", "options", "path", "deviation"),
    [
        ("resnet18", {}, "stage3/block1/conv1/kernel", (2 / (9 * 256)) ** 0.5),
        ("resnet18", {}, "stage2/block0/shortcut_conv/kernel", (2 / 128) ** 0.5),
        ("resnet18", {}, "head/kernel", (1 / (3 * 512)) ** 0.5),
        ("resnet50", {}, "stage4/block0/conv3/kernel", (2 / 2048) ** 0.5),
        ("densenet121", {}, "stage4_layer16/conv1/kernel", (2 / 992) ** 0.5),
        ("densenet121", {}, "transition1/conv/kernel", (2 / 256) ** 0.5),
        ("mga_resnet18", {}, "stage3/block1/cbam/channel/reduce/kernel", (2 / 16) ** 0.5),
        ("mga_resnet18", {}, "stage3/block1/cbam/spatial/conv/kernel", (2 / 49) ** 0.5),
        (
            "mga_resnet18",
            {"flavour": "official"},
            "stage2/block0/shortcut_conv/kernel",
            (1 / (3 * 64)) ** 0.5,
        ),
        (
            "mga_resnet18",
            {"flavour": "official"},
            "stage3/block1/cbam/channel/expand/kernel",
            (1 / (3 * 16)) ** 0.5,
        ),
        ("mga_resnet18", {"flavour": "official"}, "head/kernel", (2 / 512) ** 0.5),
        ("unet", {}, "encoder3/conv2/kernel", (1 / (3 * 9 * 512)) ** 0.5),
        ("unet", {}, "decoder4/up/kernel", (1 / (3 * 4 * 64)) ** 0.5),
        ("unet", {}, "decoder4/up/bias", (1 / (3 * 4 * 64)) ** 0.5),
        ("hmsanet", {"trunk": "hrnet_tiny"}, "backbone/stem2/conv/kernel", 0.001),
        (
            "hmsanet",
            {"trunk": "hrnet_tiny", "trunk_law": "he"},
            "backbone/stage3_module0/branch2_block0/conv1/kernel",
            (2 / (9 * 32)) ** 0.5,
        ),
        ("segnet", {}, "conv3_1_D/kernel", (2 / (9 * 256)) ** 0.5),
        ("deeplabv3_resnet50", {}, "backbone/stage3/block1/conv2/kernel", (2 / (9 * 256)) ** 0.5),
        ("deeplabv3_resnet50", {}, "auxiliary/hidden/conv/kernel", (1 / (27 * 1024)) ** 0.5),
        ("deeplabv3_resnet50", {}, "classifier/head/kernel", (1 / (3 * 256)) ** 0.5),
    ],
)
def test_deviations(name: str, options: dict, path: str, deviation: float) -> None:
    values = start(name, **options)[f"params/{path}"]
    error = 4 * deviation / np.sqrt(2 * values.size)
    assert values.std() == pytest.approx(deviation, abs=error)
    assert abs(values.mean()) < 4 * deviation / np.sqrt(values.size)


def test_constants_and_bounds() -> None:
    drawn = start("resnet18", **NARROW)
    assert np.all(drawn["params/stem/norm/scale"] == 1)
    assert np.all(drawn["params/stem/norm/bias"] == 0)
    assert np.all(drawn["batch_stats/stem/norm/mean"] == 0)
    assert np.all(drawn["batch_stats/stem/norm/var"] == 1)
    assert 0 < np.abs(drawn["params/head/bias"]).max() <= 128**-0.5
    assert np.all(start("densenet121")["params/head/bias"] == 0)


def test_constants_of_the_segmenters() -> None:
    drawn = start("segnet")
    assert np.all(drawn["params/conv4_2_D_bn/bias"] == np.float32(0.001))
    assert np.all(drawn["params/conv4_2_D/bias"] == 0)
    drawn = start("deeplabv3_resnet50")
    for layer in (
        "backbone/stem/norm",
        "backbone/stage4/block0/shortcut_norm",
        "auxiliary/hidden/norm",
    ):
        assert np.all(drawn[f"params/{layer}/scale"] == 1)
        assert np.all(drawn[f"params/{layer}/bias"] == 0)


def test_official_attention_starts_at_one_half() -> None:
    drawn = start("mga_resnet18", flavour="official", **NARROW)
    spatial = "params/stage3/block0/cbam/spatial/norm"
    assert np.all(drawn[f"{spatial}/scale"] == 0)
    assert np.all(drawn[f"{spatial}/bias"] == 0)
    assert np.all(drawn["params/stage3/block0/cbam/channel/reduce/bias"] == 0)


def test_everything_is_float32_and_quick() -> None:
    begin = time.process_time()
    drawn = start.__wrapped__("resnet50", channels=3)
    assert time.process_time() - begin < 10
    assert {array.dtype for array in drawn.values()} == {np.dtype("float32")}
