"""Published weights as initial weights: which arrays are used, adapted or left; all are reported."""

from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens.deterministic_weights import drawn_state
from marked_arrays import own_variables, torch_shapes, torch_state

from mgajax import interop, models
from mgajax.errors import ConfigError, DataError
from mgajax.interop.starting_weights import StartingWeights, start_from
from mgajax.interop.weight_files import Weights, read_weights
from mgajax.models.hmsanet import LOW_SCALES

TINY = {"trunk": "hrnet_tiny"}
NARROW = {"width": 16, "depths": (1, 1, 1, 1)}


def published(name: str, *, classes: int = 1000, **options: Any) -> dict[str, np.ndarray]:
    """A state dict as published for colour pictures, with PyTorch's counters."""
    state = torch_state(name, channels=3, classes=classes, **options)
    counters = [key for key in state if key.endswith("running_mean")]
    return state | {
        key.replace("running_mean", "num_batches_tracked"): np.array(7) for key in counters
    }


def started(
    name: str, state: dict[str, np.ndarray], *, classes: int = 2, **options: Any
) -> StartingWeights:
    return start_from(
        Weights(state, "torch"),
        variables=own_variables(name, channels=1, classes=classes, **options),
        source=Path("file.pth"),
        name=name,
        num_classes=classes,
        options=options,
    )


def flat(variables: Any) -> dict[str, np.ndarray]:
    return flax.traverse_util.flatten_dict(variables, sep="/")


@pytest.mark.parametrize(
    ("name", "stem", "head"),
    [
        ("resnet18", "conv1", "head"),
        ("resnet50", "conv1", "head"),
        ("densenet121", "features.conv0", "head"),
    ],
)
def test_imagenet_files_of_torchvision(name: str, stem: str, head: str) -> None:
    state = published(name)
    start = started(name, state)
    assert start.adapted == {"params/stem/conv/kernel": "summed over 3 input channels"}
    assert set(start.fresh) == {f"params/{head}/kernel", f"params/{head}/bias"}
    assert set(start.fresh.values()) == {"1000 classes in the file, 2 here"}
    assert start.unused == [key for key in state if key.endswith("num_batches_tracked")]
    got = flat(start.variables)
    initial = flat(own_variables(name, channels=1, classes=2))
    assert len(start.used) + 3 == len(got) == len(initial)
    np.testing.assert_array_equal(got[f"params/{head}/kernel"], initial[f"params/{head}/kernel"])
    summed = state[f"{stem}.weight"].transpose(2, 3, 1, 0).sum(axis=2, keepdims=True)
    np.testing.assert_array_equal(got["params/stem/conv/kernel"], summed)


def test_the_summed_stem_answers_to_grey_as_the_file_does_to_grey_in_colour() -> None:
    shapes = torch_shapes("resnet18", channels=3, classes=3, **NARROW)
    state = drawn_state(shapes)
    start = started("resnet18", state, classes=3, **NARROW)
    grey = np.random.default_rng(0).standard_normal((2, 32, 32, 1)).astype(np.float32)
    answer = jax.jit(models.create("resnet18", num_classes=3, **NARROW).apply)
    theirs = answer(
        interop.from_torch("resnet18", state, **NARROW), jnp.asarray(np.repeat(grey, 3, axis=3))
    )
    ours = answer(start.variables, jnp.asarray(grey))
    np.testing.assert_allclose(ours.logits, theirs.logits, rtol=1e-4, atol=1e-4)


def test_a_plain_network_for_one_with_attention() -> None:
    start = started("mga_resnet18", published("resnet18", **NARROW), **NARROW)
    left = [path for path, why in start.fresh.items() if why == "not in the file"]
    assert left
    assert all("/cbam/" in path for path in left)


def test_old_names_of_densenet() -> None:
    state = published("densenet121")
    old = {
        key.replace(".norm1.", ".norm.1.").replace(".conv2.", ".conv.2."): array
        for key, array in state.items()
    }
    assert old.keys() != state.keys()
    assert len(started("densenet121", old).used) == len(started("densenet121", state).used)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_nvidias_hmsanet_of_other_classes(prefix: str) -> None:
    state = {prefix + key: a for key, a in published("hmsanet", classes=19, **TINY).items()}
    start = started("hmsanet", state, classes=2, **TINY)
    assert {path.removeprefix("params/ocr/").split("/")[0] for path in start.fresh} == {
        "logits",
        "coarse_logits",
    }
    assert list(start.adapted) == ["params/backbone/stem1/conv/kernel"]


@pytest.mark.parametrize("naming", ["torch", "own"])
def test_statistics_of_full_size_begin_those_of_the_lower_scales(naming: str) -> None:
    arrays = published("hmsanet", classes=2, **TINY)
    if naming == "own":
        arrays = flat(interop.from_torch("hmsanet", arrays, **TINY))
    options = {**TINY, "statistics": "per_scale"}
    initial = own_variables("hmsanet", channels=3, classes=2, **options)
    start = start_from(
        Weights(arrays, naming),
        variables=initial,
        source=Path("file"),
        name="hmsanet",
        num_classes=2,
        options=options,
    )
    full = start.variables["batch_stats"]
    low = full.pop(LOW_SCALES)
    jax.tree.map(np.testing.assert_array_equal, low, full)
    assert set(start.adapted.values()) == {"that of full size"}
    assert len(start.adapted) == len(jax.tree.leaves(low))
    assert not start.fresh


@pytest.mark.parametrize("prefix", ["", "model."])
def test_imagenet_hrnet_for_the_trunk(prefix: str) -> None:
    trunk = {
        prefix + key.removeprefix("backbone."): array
        for key, array in published("hmsanet", **TINY).items()
        if key.startswith("backbone.")
    }
    start = started(
        "hmsanet", trunk | {"classifier.weight": np.zeros((1000, 8))}, classes=2, **TINY
    )
    assert "classifier.weight" in start.unused
    trained = {path for path in flat(start.variables) if "/backbone/" in path}
    assert set(start.used) | set(start.adapted) == trained
    assert all(path.split("/")[1] != "backbone" for path in start.fresh)


def test_a_trunk_for_deeplab() -> None:
    start = started("deeplabv3_resnet50", published("resnet50"), classes=2)
    assert "params/backbone/stage4/block2/conv3/kernel" in start.used
    assert {"fc.weight", "fc.bias"} < set(start.unused)


@pytest.mark.parametrize(
    ("name", "state", "message"),
    [
        ("resnet18", "resnet50", r"resnet18 .*24 arrays of other shapes \(params/"),
        ("unet", "resnet18", "unet .*nothing fits.*122 arrays, the first is .*check model.name"),
    ],
)
def test_the_weights_of_another_network_are_refused(name: str, state: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        started(name, published(state))
    assert "\n" not in str(caught.value)


def test_the_account_names_every_array() -> None:
    state = published("resnet18", **NARROW) | {"extra.weight": np.zeros(3, np.float32)}
    start = started("resnet18", state, **NARROW)
    text = start.account()
    for name in (*start.adapted, *start.fresh, *start.unused):
        assert name in text
    short = start.account(most=2)
    assert "in the file, not used: 13" in short
    assert "... and 11 more" in short


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("weights.npz", b"", "expected a run's folder, .safetensors"),
        ("weights.safetensors", b"damaged", "no weights can be read"),
    ],
)
def test_files_that_are_no_weights(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    pytest.importorskip("safetensors")
    (tmp_path / name).write_bytes(content)
    with pytest.raises((ConfigError, DataError), match=message):
        read_weights(tmp_path / name)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.pth: not found"):
        read_weights(tmp_path / "none.pth")


def test_a_pytorch_file_without_pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "resnet18.pth").touch()
    with pytest.raises(ConfigError, match=r"torch, which is not installed: pip install 'mgajax\[p"):
        read_weights(tmp_path / "resnet18.pth")


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_pytorch_files_bare_and_wrapped(tmp_path: Path, wrapper: str | None) -> None:
    torch = pytest.importorskip("torch")
    state = published("resnet18", **NARROW)
    tensors = {key: torch.from_numpy(np.array(array)) for key, array in state.items()}
    tensors["conv1.weight"] = tensors["conv1.weight"].bfloat16()
    path = tmp_path / "resnet18.pth"
    torch.save(tensors if wrapper is None else {wrapper: tensors, "epoch": 3}, path)
    arrays = read_weights(path)
    assert arrays.naming == "torch"
    assert arrays.arrays.keys() == state.keys()
    np.testing.assert_array_equal(arrays.arrays["layer1.0.bn1.bias"], state["layer1.0.bn1.bias"])
    np.testing.assert_allclose(arrays.arrays["conv1.weight"], state["conv1.weight"], rtol=1e-2)
