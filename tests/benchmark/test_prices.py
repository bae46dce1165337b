"""What an operation belongs to, and what it should take: by the compiler's cycles or by a roofline."""

import pytest
from test_hlo import TILED

from mgajax.benchmark.chips import CHIPS, Chip
from mgajax.benchmark.hlo import read_module
from mgajax.benchmark.network_parts import is_backward, part_of
from mgajax.benchmark.prices import bytes_moved, price_instructions, price_list

BY_TARGET = {chip.target: chip for chip in CHIPS if chip.target}


@pytest.mark.parametrize(
    ("path", "part", "backward"),
    [
        ("jit(train_step)/jvp(ResNet)/stem/conv/conv_general_dilated", "stem", False),
        ("jit(train_step)/transpose(jvp(ResNet))/stem/norm/reduce_sum", "stem norm", True),
        ("jit(step)/transpose(jvp(ResNet))/stem/max_pool_3x3/select_n", "max pool", True),
        ("jit(step)/jvp(ResNet)/stage2/block0/shortcut_norm/mul", "stage2 norm", False),
        ("jit(step)/ResNet/stage3/block1/cbam/spatial/conv/dot_general", "stage3", False),
        ("jit(step)/shard_map/jvp(ResNet)/head/reduce_sum", "head", False),
        ("jit(step)/jvp(DenseNet)/stage3_layer11/conv1/add", "stage3", False),
        ("jit(step)/jvp(HMSANet)/HMSANet.passes/backbone/stage2_module0/b/add", "stage2", False),
        ("jit(step)/jvp(SegNet)/conv3_2_D_bn/mul", "conv3_D norm", False),
        ("jit(step)/augmentation/vmap(jit(_uniform))/shift_right_logical", "augmentation", False),
        ("jit(step)/optimiser/mul", "optimiser", False),
        ("jit(step)/jvp(loss)/log", "loss", False),
        (
            "jit(step)/transpose(jvp(ResNet))/stage1/checkpoint/rematted_computation/add",
            "stage1",
            True,
        ),
        ("jit(step)/add", "other", False),
        ("", "other", False),
    ],
)
def test_paths_name_parts(path: str, part: str, backward: bool) -> None:
    names = ("ResNet", "DenseNet", "HMSANet", "SegNet")
    model = next((name for name in names if name in path), "ResNet")
    assert part_of(path, model=model) == part
    assert is_backward(path) is backward


def listed(chip: Chip) -> dict:
    module = read_module(TILED)
    return price_list(
        price_instructions(module, chip=chip, dtype="float32", model="ResNet"), chip=chip
    )


def test_cycles_are_prices_and_without_cycles_padded_bytes_count() -> None:
    chip = BY_TARGET["v5e"]
    prices = listed(chip)
    assert prices["by"] == "cycles"
    touched = 8 * (2 * 104 * 128 * 4 + 512)
    beside = 1e3 * (512 + 16 * 128 * 4) / chip.bandwidth
    loose = 1e3 * touched / chip.bandwidth + beside
    assert prices["unpriced_ms"] == pytest.approx(loose)
    assert prices["ms"] == pytest.approx(1e3 * (1500 + 8 * 70) / 1.5e9 + loose)
    assert {name: row["count"] for name, row in prices["unpriced"].items()} == {
        "fusion": 8,
        "copy (asynchronous)": 1,
        "slice (asynchronous)": 1,
    }
    assert prices["beside_ms"] == pytest.approx(beside)
    assert prices["parts"]["stage1"] == {"forward_ms": pytest.approx(1e-3), "backward_ms": 0.0}
    assert prices["heaviest"][0]["name"] == "put"


def test_without_a_clock_the_roofline_is_the_price() -> None:
    prices = listed(BY_TARGET["v6e"])
    moved = bytes_moved(
        price_instructions(read_module(TILED), chip=None, dtype="float32", model="ResNet")
    )
    assert prices["by"] == "roofline"
    assert prices["unpriced"] == {}
    assert prices["ms"] == pytest.approx(1e3 * moved["padded_bytes"] / 1638e9)
    assert moved["bytes"] == 2 * 100 * 64 * 4 + 256 + 16 * 64 * 4 + 16 * (2 * 100 * 64 * 4 + 4)


GATHERING = """\
%fused_computation (p: f32[16,8], i: s32[4]) -> f32[4,8] {
  %p = f32[16,8]{1,0} parameter(0)
  %i = s32[4]{0} parameter(1)
  ROOT %g = f32[4,8]{1,0} gather(%p, %i), offset_dims={1}, metadata={op_name="jit(step)/augmentation/gather"}
}

ENTRY %main (p: f32[16,8], i: s32[4]) -> f32[4,8] {
  %p = f32[16,8]{1,0} parameter(0)
  %i = s32[4]{0} parameter(1)
  ROOT %taken = f32[4,8]{1,0} fusion(%p, %i), kind=kCustom, calls=%fused_computation
}
"""


def test_instructions_without_a_price_are_named() -> None:
    chip = BY_TARGET["h100"]
    prices = price_list(
        price_instructions(read_module(GATHERING), chip=chip, dtype="bfloat16", model="ResNet"),
        chip=chip,
    )
    assert prices["unpriced"].keys() == {"fusion of gather"}
    assert prices["unpriced"]["fusion of gather"]["padded_bytes"] == 4 * (32 + 4 + 32)
    assert list(prices["parts"]) == ["augmentation"]
