"""HMSANet's weights by NVIDIA's names: complete, exact, and a trunk from ImageNet files."""

from pathlib import Path

import jax
import numpy as np
import pytest
from marked_arrays import torch_shapes, torch_state, variable_shapes

from mgajax import interop
from mgajax.errors import ConfigError, DataError
from mgajax.models.hmsanet import LOW_SCALES

TINY = {"trunk": "hrnet_tiny"}


def tiny_state(*, channels: int = 1) -> dict[str, np.ndarray]:
    return torch_state("hmsanet", channels=channels, classes=2, **TINY)


@pytest.fixture(scope="module")
def state() -> dict[str, np.ndarray]:
    return tiny_state()


def test_there_and_back_is_exact(state: dict[str, np.ndarray]) -> None:
    variables = interop.from_torch("hmsanet", state, **TINY)
    back = interop.to_torch("hmsanet", variables, **TINY)
    assert list(back) == list(state)
    assert all(np.array_equal(back[name], state[name]) for name in state)
    expected = variable_shapes("hmsanet", channels=1, classes=2, **TINY)
    assert jax.tree.map(np.shape, variables) == jax.tree.map(lambda leaf: leaf.shape, expected)


def test_published_statistics_serve_both_sets_of_a_network_with_two(
    state: dict[str, np.ndarray],
) -> None:
    variables = interop.from_torch("hmsanet", state, **TINY, statistics="per_scale")
    expected = interop.from_torch("hmsanet", state, **TINY)
    low = variables["batch_stats"].pop(LOW_SCALES)
    for tree in (variables["batch_stats"], low):
        jax.tree.map(np.testing.assert_array_equal, tree, expected["batch_stats"])
    with pytest.raises(ConfigError, match=r"statistics='per_scale' has no PyTorch form"):
        interop.to_torch("hmsanet", variables, **TINY, statistics="per_scale")


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("backbone.conv2.weight", (16, 16, 3, 3)),
        ("backbone.layer1.0.downsample.1.running_var", (32,)),
        ("backbone.transition1.0.0.weight", (8, 32, 3, 3)),
        ("backbone.transition1.1.0.0.weight", (16, 32, 3, 3)),
        ("backbone.transition2.2.0.1.bias", (32,)),
        ("backbone.stage3.0.branches.2.0.bn2.weight", (32,)),
        ("backbone.stage3.0.fuse_layers.0.2.0.weight", (8, 32, 1, 1)),
        ("backbone.stage3.0.fuse_layers.2.0.0.0.weight", (8, 8, 3, 3)),
        ("backbone.stage3.0.fuse_layers.2.0.1.1.running_mean", (32,)),
        ("ocr.aux_head.1.0.running_var", (56,)),
        ("ocr.aux_head.2.bias", (2,)),
        ("ocr.ocr_distri_head.object_context_block.f_object.3.0.weight", (16,)),
        ("scale_attn.conv2.weight", (1, 16, 1, 1)),
    ],
)
def test_names(state: dict[str, np.ndarray], name: str, shape: tuple[int, ...]) -> None:
    assert state[name].shape == shape


def test_every_published_name_and_shape(shared: Path) -> None:
    table = shared / "goldens" / "segmentation" / "hmsanet_state_dict_names.txt"
    lines = [line.split() for line in table.read_text().splitlines() if line[:1] != "#"]
    expected = {name: tuple(int(n) for n in sizes.split("x")) for name, sizes, _ in lines}
    shapes = torch_shapes("hmsanet", channels=3, classes=2)
    assert shapes == expected


@pytest.mark.parametrize("prefix", ["", "model."])
def test_trunk_from_an_imagenet_file(state: dict[str, np.ndarray], prefix: str) -> None:
    file = {
        prefix + name.removeprefix("backbone."): array + 1.0
        for name, array in tiny_state(channels=3).items()
        if name.startswith("backbone.")
    } | {"classifier.weight": np.zeros((1000, 56), np.float32)}
    merged = interop.with_imagenet_trunk(state, file)
    assert set(merged) == set(state)
    assert np.array_equal(merged["ocr.cls_head.weight"], state["ocr.cls_head.weight"])
    assert np.array_equal(merged["backbone.bn1.bias"], file[f"{prefix}bn1.bias"])
    summed = file[f"{prefix}conv1.weight"].sum(axis=1, keepdims=True)
    assert np.array_equal(merged["backbone.conv1.weight"], summed)
    interop.from_torch("hmsanet", merged, **TINY)


def test_a_file_of_another_trunk(state: dict[str, np.ndarray]) -> None:
    with pytest.raises(DataError, match=r"lack 140 of the trunk's 140 .* is layer1\.0\..*`trunk`"):
        interop.with_imagenet_trunk(state, {"features.0.weight": np.zeros(3, np.float32)})


def test_weights_of_another_width(state: dict[str, np.ndarray]) -> None:
    with pytest.raises(DataError, match="model hmsanet: .*missing"):
        interop.from_torch("hmsanet", state, trunk="hrnet_w18", modules=(1, 1, 1))
