"""Every network in every format: reloaded by its own runtime it gives the same numbers."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from goldens.deterministic_weights import drawn_images, drawn_state
from goldens.parity import relative_gap, shapes_of
from jax.extend.mlir import ir
from jax.interpreters.mlir import make_ir_context
from minute_hmsanet import minute, per_scale_variables

from mgajax import interop, models
from mgajax.interop.formats import FORMATS
from mgajax.interop.network import Network
from mgajax.interop.weight_files import read_weights
from mgajax.models.hmsanet import LOW_SCALES
from mgajax.models.registry import CLASSIFIERS

CASES: dict[str, tuple[str, int, dict[str, Any]]] = {
    "resnet18": ("resnet18", 48, {}),
    "resnet50": ("resnet50", 64, {}),
    "densenet121": ("densenet121", 64, {}),
    "resnet18_cbam": ("resnet18_cbam", 48, {"flavour": "official", "placement": "every_block"}),
    "mga_resnet18": ("mga_resnet18", 48, {"mga_stage": 2}),
    "mga_narrow": ("mga_resnet18", 32, {"mga_stage": 2, "width": 16, "depths": (1, 1, 1, 1)}),
    "unet": ("unet", 32, {}),
    "unet_bilinear": ("unet", 40, {"upsampling": "bilinear"}),
    "segnet": ("segnet", 32, {}),
    "deeplabv3": ("deeplabv3_resnet50", 64, {}),
    "hmsanet": ("hmsanet", 64, {"trunk": "hrnet_tiny"}),
    "hmsanet_looped": (
        "hmsanet",
        32,
        {
            "trunk": "hrnet_tiny",
            "repeats": "scanned",
            "remat": "modules",
            "scales": (0.5, 1.0, 2.0),
        },
    ),
}
QUICK = ("mga_narrow", "hmsanet")
WHOLE = pytest.mark.slow(finds="an operation of one network that one format gets wrong")
METADATA = {"notice": "Research use only.", "input": {"shape": ["batch", 48, 48, 1]}}


def network_of(case: str) -> Network:
    """Drawn weights, and statistics that are no identity."""
    name, side, options = CASES[case]
    classes = 3 if name in CLASSIFIERS else 2
    model = models.create(name, num_classes=classes, **options)
    variables = models.init_variables(model, image_size=side, channels=1, seed=0)
    state = interop.to_torch(name, variables, **options)
    rng = np.random.default_rng(0)
    for key, array in state.items():
        if key.endswith("running_mean"):
            state[key] = 0.1 * rng.standard_normal(array.shape).astype(np.float32)
    variables = interop.from_torch(name, state, **options)
    return Network(name, options, classes, side, 1, variables, METADATA)


def images_for(network: Network, *, count: int = 8) -> np.ndarray:
    shape = (count, network.image_size, network.image_size, network.channels)
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


def assert_agrees(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert {"logits", "probabilities"} <= set(actual) <= set(expected)
    for name, array in actual.items():
        assert relative_gap(array, expected[name]) < 1e-4, name


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=() if c in QUICK else WHOLE) for c in CASES]
)
def test_every_format_gives_the_same_numbers(case: str, tmp_path: Path) -> None:
    network = network_of(case)
    images = images_for(network)
    expected = network.answer(network.variables)(images)
    for name, form in FORMATS.items():
        if form.missing:
            continue
        path = tmp_path / f"network{form.suffix}"
        form.write(network, path)
        logits = form.load(network, path)(images)
        assert_agrees(logits, expected)
        if name in ("stablehlo", "onnx"):
            assert set(logits) == set(expected)


@pytest.fixture(scope="module")
def small() -> Network:
    return network_of("hmsanet_looped")


def test_onnx_takes_any_batch_and_carries_its_metadata(small: Network, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "network.onnx"
    FORMATS["onnx"].write(small, path)
    images = images_for(small)
    answer = FORMATS["onnx"].load(small, path)
    whole, single = answer(images), answer(images[1:2])
    assert_agrees(single, {name: array[1:2] for name, array in whole.items()})
    stored = {p.key: json.loads(p.value) for p in onnx.load(path).metadata_props}
    assert stored == METADATA


def test_onnx_stores_each_weight_once(small: Network, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    FORMATS["onnx"].write(small, tmp_path / "network.onnx")
    size = (tmp_path / "network.onnx").stat().st_size
    weights = 4 * models.count(small.variables)
    # Three scales share the weights; a node takes some 200 bytes.
    assert weights < size < weights + 600_000


def test_other_metadata_are_where_their_formats_keep_them(small: Network, tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors")
    FORMATS["safetensors"].write(small, tmp_path / "network.safetensors")
    with safetensors.safe_open(tmp_path / "network.safetensors", framework="numpy") as file:
        stored = {key: json.loads(value) for key, value in file.metadata().items()}
    assert stored == METADATA
    FORMATS["orbax"].write(small, tmp_path / "network.orbax")
    folder = json.loads((tmp_path / "network.orbax" / "_CHECKPOINT_METADATA").read_text())
    assert folder["custom_metadata"]["mgajax"] == METADATA


BARE = """
import json, pathlib, sys
import jax, numpy
program = jax.export.deserialize(bytearray(pathlib.Path(sys.argv[1]).read_bytes()))
found = {}
for count in (1, 8):
    found = program.call(numpy.load(sys.argv[2])[:count])
numpy.savez(sys.argv[3], **found)
others = {name.split(".")[0] for name in sys.modules} & {"mgajax", "flax", "orbax", "optax"}
print(json.dumps({"platforms": program.platforms, "others": sorted(others)}))
"""


def test_stablehlo_runs_with_jax_alone(small: Network, tmp_path: Path) -> None:
    pytest.importorskip("flatbuffers")
    path, images = tmp_path / "network.stablehlo", images_for(small)
    FORMATS["stablehlo"].write(small, path)
    np.save(tmp_path / "images.npy", images)
    names = ("network.stablehlo", "images.npy", "found.npz")
    bare = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    process = subprocess.run(
        [sys.executable, "-P", "-c", BARE, *names],
        cwd=tmp_path,
        env=bare | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=True,
    )
    report = json.loads(process.stdout)
    assert report == {"platforms": ["cpu", "cuda", "tpu"], "others": []}
    with np.load(tmp_path / "found.npz") as stored:
        assert_agrees(dict(stored), small.answer(small.variables)(images))


def test_stablehlo_keeps_the_statistics_of_each_scale(tmp_path: Path) -> None:
    pytest.importorskip("flatbuffers")
    variables = jax.device_get(per_scale_variables())
    network = Network("hmsanet", {"statistics": "per_scale"}, 2, 32, 1, variables, METADATA)
    vars(network)["model"] = minute(statistics="per_scale")
    images = images_for(network, count=3)
    FORMATS["stablehlo"].write(network, tmp_path / "network.stablehlo")
    actual = FORMATS["stablehlo"].load(network, tmp_path / "network.stablehlo")(images)
    expected = network.answer(variables)(images)
    assert set(actual) == set(expected)
    assert_agrees(actual, expected)
    statistics = variables["batch_stats"]
    full = {name: tree for name, tree in statistics.items() if name != LOW_SCALES}
    other = network.answer(variables | {"batch_stats": {**full, LOW_SCALES: full}})(images)
    assert relative_gap(other["logits"], expected["logits"]) > 1e-2, "both sets tell"


def inside(region: Any) -> set[str]:
    """The names of all operations of a region, at any depth."""
    operations = [operation.operation for block in region for operation in block]
    return {o.name for o in operations}.union(*(inside(r) for o in operations for r in o.regions))


def forms(module: str) -> list[tuple[set[str], set[str]]]:
    """What one platform runs and what all others run, of each switch between the two."""
    switches = []

    def visit(operation: Any) -> Any:
        if operation.name == "stablehlo.case" and len(operation.regions) == 2:
            first, others = map(inside, operation.regions)
            if first | others != {"stablehlo.return"}:  # those choose a number
                switches.append((first, others))
        return ir.WalkResult.ADVANCE

    with make_ir_context():
        ir.Module.parse(module).operation.walk(visit)
    return switches


def test_stablehlo_has_a_cpus_products_and_any_others_convolutions(tmp_path: Path) -> None:
    """In one module, by switches over platforms; TPUs have forms of their own for some layers, too."""
    pytest.importorskip("flatbuffers")
    network = network_of("mga_narrow")
    path = tmp_path / "network.stablehlo"
    FORMATS["stablehlo"].write(network, path)
    program = jax.export.deserialize(bytearray(path.read_bytes()))
    switches = forms(program.mlir_module())
    pools = [form for form in switches if "stablehlo.reduce_window" in form[0] ^ form[1]]
    layers = [form for form in switches if "stablehlo.convolution" in form[0] | form[1]]
    # Around some stands a switch between a TPU, which convolves pairs of images, and all others.
    products = [form for form in layers if "stablehlo.convolution" not in form[0] & form[1]]
    assert len(pools) == 1
    assert len(products) >= 5
    for cpu, others in products:
        assert "stablehlo.dot_general" in cpu - others
        assert "stablehlo.convolution" in others - cpu


@pytest.mark.parametrize("format_name", ["safetensors", "torch", "orbax"])
def test_weights_come_back_bit_for_bit_and_by_pytorchs_names(
    small: Network, tmp_path: Path, format_name: str
) -> None:
    form = FORMATS[format_name]
    if form.missing:
        pytest.skip(f"{form.missing} not installed")
    path = tmp_path / f"network{form.suffix}"
    form.write(small, path)
    weights = read_weights(path)
    expected = interop.to_torch(small.name, small.variables, **small.options)
    arrays = weights.arrays
    if weights.naming == "own":
        import flax.traverse_util

        tree = flax.traverse_util.unflatten_dict(arrays, sep="/")
        arrays = interop.to_torch(small.name, tree, **small.options)
    assert arrays.keys() == expected.keys()
    for key, array in expected.items():
        np.testing.assert_array_equal(arrays[key], array)


def test_the_golden_of_pytorch_holds_through_onnx(shared: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    golden = np.load(shared / "goldens" / "classification" / "resnet18.npz")
    state = drawn_state(shapes_of(golden["state_names"], golden["state_shapes"]))
    variables = interop.from_torch("resnet18", state)
    back = interop.to_torch("resnet18", variables)
    assert all(np.array_equal(back[key], state[key]) for key in state)
    network = Network("resnet18", {}, 3, 96, 3, variables, {})
    FORMATS["onnx"].write(network, tmp_path / "resnet18.onnx")
    images = drawn_images((2, 3, 96, 96)).transpose(0, 2, 3, 1)
    logits = FORMATS["onnx"].load(network, tmp_path / "resnet18.onnx")(images)
    assert relative_gap(logits["logits"], golden["eval_logits"]) < 1e-4
