"""A compiled program read from its text: sizes in tiles, what runs how often, what moves, what computes."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from mgajax.benchmark.hlo import Bytes, Execution, read_module, shapes_of
from mgajax.benchmark.traffic import products, traffic

TILED = """\
HloModule jit_step, is_scheduled=true

%fused_computation.1 (param_0.1: f32[100,64], param_1.1: f32[64]) -> f32[100,64] {
  %param_1.1 = f32[64]{0:T(128)S(1)} parameter(1)
  %spread = f32[100,64]{1,0:T(8,128)} broadcast(%param_1.1), dimensions={1}
  %param_0.1 = f32[100,64]{1,0:T(8,128)} parameter(0)
  ROOT %sum.1 = f32[100,64]{1,0:T(8,128)} add(%param_0.1, %spread)
}

%fused_computation.2 (param_0.2: f32[8,100,64], param_1.2: s32[]) -> f32[1,100,64] {
  %param_0.2 = f32[8,100,64]{2,1,0:T(8,128)} parameter(0)
  %param_1.2 = s32[]{:T(128)} parameter(1)
  %zero = s32[]{:T(128)} constant(0)
  ROOT %one = f32[1,100,64]{2,1,0:T(8,128)} dynamic-slice(%param_0.2, %param_1.2, %zero, %zero), dynamic_slice_sizes={1,100,64}
}

%fused_computation.3 (param_0.3: f32[8,100,64], param_1.3: f32[1,100,64], param_2.3: s32[]) -> f32[8,100,64] {
  %param_0.3 = f32[8,100,64]{2,1,0:T(8,128)} parameter(0)
  %param_1.3 = f32[1,100,64]{2,1,0:T(8,128)} parameter(1)
  %param_2.3 = s32[]{:T(128)} parameter(2)
  ROOT %kept = f32[8,100,64]{2,1,0:T(8,128)} dynamic-update-slice(%param_0.3, %param_1.3, %param_2.3, %param_2.3, %param_2.3)
}

%body (state: (s32[], f32[8,100,64])) -> (s32[], f32[8,100,64]) {
  %state = (s32[]{:T(128)}, f32[8,100,64]{2,1,0:T(8,128)}) parameter(0)
  %count = s32[]{:T(128)} get-tuple-element(%state), index=0
  %stack = f32[8,100,64]{2,1,0:T(8,128)} get-tuple-element(%state), index=1
  %taken = f32[1,100,64]{2,1,0:T(8,128)} fusion(%stack, %count), kind=kLoop, calls=%fused_computation.2, backend_config={"estimated_cycles":"70"}
  %put = f32[8,100,64]{2,1,0:T(8,128)} fusion(%stack, %taken, %count), kind=kLoop, calls=%fused_computation.3
  ROOT %next = (s32[]{:T(128)}, f32[8,100,64]{2,1,0:T(8,128)}) tuple(%count, %put)
}

ENTRY %main (x: f32[100,64], b: f32[64], start: (s32[], f32[8,100,64])) -> f32[100,64] {
  %x = f32[100,64]{1,0:T(8,128)} parameter(0)
  %b = f32[64]{0:T(128)} parameter(1)
  %start = (s32[]{:T(128)}, f32[8,100,64]{2,1,0:T(8,128)}) parameter(2)
  %near = (f32[64]{0:T(128)S(1)}, f32[64]{0:T(128)}, u32[]{:S(2)}) copy-start(%b)
  %near.done = f32[64]{0:T(128)S(1)} copy-done(%near)
  %part = ((f32[100,64]{1,0:T(8,128)}), f32[16,64]{1,0:T(8,128)S(1)}, s32[]{:T(128)S(4)}) slice-start(%x), slice={[0:16], [0:64]}
  %loop = (s32[]{:T(128)}, f32[8,100,64]{2,1,0:T(8,128)}) while(%start), condition=%test, body=%body, backend_config={"known_trip_count":{"n":"8"}}
  ROOT %sum = f32[100,64]{1,0:T(8,128)} fusion(%x, /*index=1*/%near.done), kind=kLoop, calls=%fused_computation.1, metadata={op_name="jit(step)/jvp(ResNet)/stage1/add"}, backend_config={"flag":true,"estimated_cycles":"1500"}
}
"""


@pytest.mark.parametrize(
    ("text", "bare", "padded"),
    [
        ("f32[100,64]{1,0:T(8,128)}", 100 * 64 * 4, 104 * 128 * 4),
        ("f32[64,100]{0,1:T(8,128)}", 100 * 64 * 4, 104 * 128 * 4),
        ("bf16[32,112,112,64]{3,0,2,1:T(8,128)(2,1)}", 32 * 112**2 * 128, 32 * 112**2 * 256),
        ("f32[64]{0:T(128)S(1)}", 256, 512),
        ("pred[3]{0:T(1024)}", 3, 1024),
        ("f32[5]{0}", 20, 20),
        ("s32[]", 4, 4),
        ("f8e4m3fn[7]{0}", 7, 7),
    ],
)
def test_tiles_fill_up_the_fastest_axes(text: str, bare: int, padded: int) -> None:
    (shape,) = shapes_of(text)
    assert shape.size == Bytes(bare, padded)
    assert shape.space == (1 if "S(1)" in text else 0)


def executed(text: str) -> dict[str, Execution]:
    return {execution.instruction.name: execution for execution in read_module(text).executions()}


def test_executed_instructions_are_counted() -> None:
    executions = executed(TILED)
    assert (executions["sum"].times, executions["taken"].times, executions["put"].times) == (
        1,
        8,
        8,
    )
    assert "spread" not in executions
    instruction = executions["sum"].instruction
    assert instruction.operands == ("x", "near.done")
    assert (instruction.cycles, instruction.op_name) == (1500, "jit(step)/jvp(ResNet)/stage1/add")
    assert instruction.root
    assert executions["put"].instruction.cycles is None


@pytest.mark.parametrize(
    ("name", "bare", "padded"),
    [
        ("sum", 2 * 100 * 64 * 4, 2 * 104 * 128 * 4),  # what was fetched before counts there
        ("near", 256, 512),
        ("near.done", 0, 0),
        ("taken", 2 * 100 * 64 * 4 + 4, 2 * 104 * 128 * 4 + 512),
        ("put", 2 * 100 * 64 * 4 + 4, 2 * 104 * 128 * 4 + 512),
        ("stack", 0, 0),
        ("part", 16 * 64 * 4, 16 * 128 * 4),
    ],
)
def test_bytes_are_those_of_the_parts_that_are_touched(name: str, bare: int, padded: int) -> None:
    assert traffic(executed(TILED)[name], module=read_module(TILED)) == Bytes(bare, padded)


def convolved(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(
        x,
        kernel,
        (2, 1),
        ((1, 2), (3, 3)),
        rhs_dilation=(1, 2),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


@pytest.mark.parametrize(
    "function",
    [convolved, jax.grad(lambda x, k: jnp.sum(convolved(x, k)), argnums=(0, 1)), "product"],
)
def test_operations_are_those_that_xla_counts(function) -> None:
    x, kernel = jnp.ones((2, 13, 9, 3)), jnp.ones((3, 3, 3, 5))
    if function == "product":
        function, x, kernel = jnp.matmul, jnp.ones((4, 6, 7)), jnp.ones((4, 7, 8))
    lowered = jax.jit(function).lower(x, kernel)
    module = read_module(lowered.as_text("hlo"))
    operations = sum(products(execution, module=module) for execution in module.executions())
    assert operations == pytest.approx(lowered.cost_analysis()["flops"], rel=0.02)


CUDNN = """\
ENTRY %main (g: f32[2,4,4,5], x: f32[2,8,8,3]) -> f32[3,3,3,5] {
  %x = f32[2,8,8,3]{3,2,1,0} parameter(0)
  %g = f32[2,4,4,5]{3,2,1,0} parameter(1)
  %k = f32[3,3,3,5]{3,2,1,0} parameter(2)
  %to_kernel = (f32[3,3,3,5]{3,2,1,0}, u8[0]{0}) custom-call(%x, %g), window={size=3x3 stride=2x2 pad=0_1x0_1}, dim_labels=b01f_01io->b01f, custom_call_target="__cudnn$convBackwardFilter"
  %to_x = (f32[2,8,8,3]{3,2,1,0}, u8[0]{0}) custom-call(%g, %k), window={size=3x3 stride=2x2 pad=0_1x0_1}, dim_labels=b01f_01io->b01f, custom_call_target="__cudnn$convBackwardInput"
  %forward = (f32[2,4,4,5]{3,2,1,0}, u8[0]{0}) custom-call(%x, %k), window={size=3x3 stride=2x2 pad=0_1x0_1}, dim_labels=b01f_01io->b01f, custom_call_target="__cudnn$convForward"
  ROOT %gemm = (f32[4,8]{1,0}, s8[64]{0}) custom-call(f32[4,6]{1,0} %a, f32[6,8]{1,0} %b), custom_call_target="__cublas$gemm", backend_config={"gemm_backend_config":{"dot_dimension_numbers":{"lhs_contracting_dimensions":["1"],"rhs_contracting_dimensions":["0"]}}}
}
"""


def test_calls_of_cudnn_and_cublas_are_counted() -> None:
    module = read_module(CUDNN)
    operations = {
        execution.instruction.name: products(execution, module=module)
        for execution in module.executions()
    }
    # Four places of three taps reach 8 values but for the last tap, twice: 11 along each axis.
    convolution = 2 * (11 * 11) * 2 * 3 * 5
    assert [operations[name] for name in ("to_kernel", "to_x", "forward")] == [convolution] * 3
    assert operations["gemm"] == 2 * 4 * 6 * 8
