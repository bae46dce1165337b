"""PyTorch state dicts in and out: exact, complete, and clear where they do not fit."""

from pathlib import Path

import flax.traverse_util
import jax
import numpy as np
import pytest
from goldens.parity import shapes_of
from marked_arrays import marked_state, torch_state, variable_shapes

from mgajax import interop
from mgajax.errors import DataError
from mgajax.models.registry import SEGMENTERS

FIXTURES = Path(__file__).parent.parent / "goldens"
RELEASED = {"placement": "every_block", "flavour": "official", "stages": (1, 2, 3, 4)}
CASES = {
    "resnet18": ("resnet18", {}),
    "resnet50": ("resnet50", {}),
    "densenet121": ("densenet121", {}),
    "resnet18_cbam": ("resnet18_cbam", RELEASED),
    "mga_simplified": ("mga_resnet18", {"stages": (1,), "mga_stage": 1}),
    "mga_paper_last_block": ("mga_resnet18", {}),
    "mga_paper_stage_end": ("mga_resnet18", {"placement": "stage_end"}),
    "mga_official_stage_end_residual": (
        "mga_resnet18",
        {"placement": "stage_end_residual", "flavour": "official"},
    ),
    "mga_official_every_block": (
        "mga_resnet18",
        {"placement": "every_block", "flavour": "official"},
    ),
    "unet": ("unet", {}),
    "unet_bilinear": ("unet", {"upsampling": "bilinear"}),
    "segnet": ("segnet", {}),
    "deeplabv3_resnet50": ("deeplabv3_resnet50", {}),
}
NARROW = {"width": 16, "depths": (1, 2, 1, 1)}


def shapes_in(case: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a state dict as PyTorch listed them."""
    (path,) = FIXTURES.glob(f"*/{case}.npz")
    golden = np.load(path)
    return shapes_of(golden["state_names"], golden["state_shapes"])


def state_of(case: str) -> dict[str, np.ndarray]:
    return marked_state(shapes_in(case))


@pytest.mark.parametrize("case", CASES)
def test_there_and_back_is_exact(case: str) -> None:
    """Every array comes back, and the variables between are those of the network."""
    name, options = CASES[case]
    state = state_of(case)
    variables = interop.from_torch(name, state, **options)
    back = interop.to_torch(name, variables, **options)
    assert set(back) == set(state)
    for key, array in state.items():
        assert back[key].dtype == array.dtype
        assert np.array_equal(back[key], array), key
    again = interop.from_torch(name, back, **options)
    jax.tree.map(np.testing.assert_array_equal, again, variables)

    channels = next(iter(state.values())).shape[1]
    expected = variable_shapes(name, channels=channels, classes=classes_of(name), **options)
    assert jax.tree.map(np.shape, variables) == jax.tree.map(lambda leaf: leaf.shape, expected)


def classes_of(name: str) -> int:
    return 2 if name in SEGMENTERS else 3


def narrow_state(name: str = "resnet18") -> dict[str, np.ndarray]:
    return torch_state(name, channels=1, classes=3, **NARROW)


@pytest.mark.parametrize("name", ["resnet18", "resnet18_cbam", "mga_resnet18"])
def test_a_narrow_network_there_and_back(name: str) -> None:
    state = narrow_state(name)
    assert state["layer4.0.conv2.weight"].shape == (128, 128, 3, 3)
    assert ("layer2.1.conv1.weight" in state, "layer1.1.conv1.weight" in state) == (True, False)
    variables = interop.from_torch(name, state, **NARROW)
    back = interop.to_torch(name, variables, **NARROW)
    assert list(back) == list(state)
    assert all(np.array_equal(back[key], array) for key, array in state.items())
    with pytest.raises(DataError, match=f"model {name}: .*options .*width, depths"):
        interop.from_torch(name, state)


def test_batch_counters_are_ignored() -> None:
    state = narrow_state() | {"bn1.num_batches_tracked": np.array(7)}
    variables = interop.from_torch("resnet18", state, **NARROW)
    assert "bn1.num_batches_tracked" not in interop.to_torch("resnet18", variables, **NARROW)


def test_layout() -> None:
    state = narrow_state()
    params = interop.from_torch("resnet18", state, **NARROW)["params"]
    kernel = params["stage1"]["block0"]["conv1"]["kernel"]
    assert kernel[2, 1, 5, 7] == state["layer1.0.conv1.weight"][7, 5, 2, 1]
    assert params["head"]["kernel"][11, 2] == state["fc.weight"][2, 11]


def test_layout_of_transposed_convolutions() -> None:
    state = state_of("unet")
    kernel = interop.from_torch("unet", state)["params"]["decoder2"]["up"]["kernel"]
    assert kernel[1, 0, 300, 20] == state["up2.up.weight"][300, 20, 1, 0]


def test_deeplab_without_its_auxiliary_head() -> None:
    state = state_of("deeplabv3_resnet50")
    with pytest.raises(DataError, match="unexpected: aux_classifier.*options .auxiliary"):
        interop.from_torch("deeplabv3_resnet50", state, auxiliary="none")
    main = {key: array for key, array in state.items() if not key.startswith("aux_")}
    variables = interop.from_torch("deeplabv3_resnet50", main, auxiliary="none")
    assert set(interop.to_torch("deeplabv3_resnet50", variables, auxiliary="none")) == set(main)


def test_everything_that_does_not_fit_is_named_at_once() -> None:
    state = narrow_state()
    del state["layer2.0.bn1.weight"]
    state["layer9.weight"] = np.zeros(3, np.float32)
    state["conv1.weight"] = np.zeros((16, 1, 5, 5), np.float32)
    with pytest.raises(DataError) as caught:
        interop.from_torch("resnet18", state, **NARROW)
    message = str(caught.value)
    assert "\n" not in message
    assert "1 missing: layer2.0.bn1.weight" in message
    assert "1 unexpected: layer9.weight" in message
    assert "conv1.weight (16, 1, 5, 5) instead of (16, 1, 7, 7)" in message


@pytest.mark.parametrize("name", ["densenet121", "resnet50"])
def test_weights_of_another_network(name: str) -> None:
    with pytest.raises(DataError, match=f"model {name}: .*missing.*unexpected"):
        interop.from_torch(name, state_of("mga_paper_last_block"))


def test_empty_state() -> None:
    with pytest.raises(DataError, match="missing"):
        interop.from_torch("resnet18", {})


def test_variables_made_with_other_options() -> None:
    variables = interop.from_torch("mga_resnet18", narrow_state("mga_resnet18"), **NARROW)
    with pytest.raises(DataError, match="options"):
        interop.to_torch("mga_resnet18", variables, placement="stage_end", **NARROW)


def test_truncated_variables() -> None:
    variables = interop.from_torch("resnet18", narrow_state(), **NARROW)
    leaves = flax.traverse_util.flatten_dict(variables)
    leaves["params", "head", "kernel"] = leaves["params", "head", "kernel"][:-1]
    with pytest.raises(DataError, match=r"fc\.weight \(3, 127\)"):
        interop.to_torch("resnet18", flax.traverse_util.unflatten_dict(leaves), **NARROW)
