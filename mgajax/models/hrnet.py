"""HRNetV2 (Wang et al. 2020), the trunk of HMSANet: four resolutions side by side.

Structure and numerics as in NVIDIA's semantic-segmentation (BSD-3): half-pixel bilinear resizes
without antialiasing, fine to coarse by strided 3×3 convolutions, coarse to fine by a 1×1
convolution, normalisation and a resize to the finer map's exact size.
"""

import dataclasses
import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mgajax.errors import ConfigError, nearest
from mgajax.models.blocks import Layers
from mgajax.models.convolution import convolve_in_loops
from mgajax.models.resize import resize_features
from mgajax.models.resnet import BasicBlock, BottleneckBlock

REMATERIALISATIONS = ("none", "modules")
REPEATS = ("unrolled", "scanned")


@dataclasses.dataclass(frozen=True)
class TrunkPlan:
    """The dimensions of a trunk.

    Attributes:
      width: channels of the finest branch; every coarser branch has twice as many.
      modules: exchange modules in stage 2, stage 3, ...; stage n has n branches.
      blocks: residual blocks of a branch within a module.
      stem: channels of the two strided convolutions at the start.
      bottlenecks: bottleneck blocks of stage 1.
      bottleneck_width: their inner channels, a quarter of their output's.
    """

    width: int
    modules: tuple[int, ...] = (1, 4, 3)
    blocks: int = 4
    stem: int = 64
    bottlenecks: int = 4
    bottleneck_width: int = 64

    def channels(self, branches: int) -> tuple[int, ...]:
        """Channels of the first `branches` branches, finest first."""
        return tuple(self.width * 2**branch for branch in range(branches))

    @property
    def features(self) -> int:
        """Channels of the trunk's output."""
        return sum(self.channels(len(self.modules) + 1))


TRUNKS = {
    "hrnet_w18": TrunkPlan(18),
    "hrnet_w32": TrunkPlan(32),
    "hrnet_w48": TrunkPlan(48),
    "hrnet_w18_small": TrunkPlan(
        16, modules=(1, 1, 1), blocks=2, bottlenecks=1, bottleneck_width=32
    ),
    "hrnet_tiny": TrunkPlan(
        8, modules=(1, 1), blocks=1, stem=16, bottlenecks=1, bottleneck_width=8
    ),
}
"""W18, W32, W48 and W18-Small (its first version) are published trunks; the tiny one, with three
resolutions, is for tests and a first look on a CPU."""


def trunk_plan(trunk: str, *, modules: Sequence[int] | None = None) -> TrunkPlan:
    """The plan of a trunk by name, with other module counts if `modules` gives them.

    Raises:
      ConfigError: unknown trunk, or module counts that are not whole and positive, or not one for
        each stage from the second on.
    """
    if trunk not in TRUNKS:
        raise ConfigError(f"trunk={trunk!r}: {nearest(str(trunk), tuple(TRUNKS))}")
    plan = TRUNKS[trunk]
    if modules is None:
        return plan
    counts = tuple(modules)
    if len(counts) != len(plan.modules) or not all(
        isinstance(count, int) and count > 0 for count in counts
    ):
        raise ConfigError(
            f"modules={modules!r}: {trunk} takes {len(plan.modules)} positive whole numbers, one "
            f"a stage from the second on; its own are {plan.modules!r}"
        )
    return dataclasses.replace(plan, modules=counts)


class ConvNorm(nn.Module):
    """Convolution, normalisation and, unless `activation` is "none", ReLU."""

    features: int
    layers: Layers
    kernel: int = 3
    stride: int = 1
    bias: bool = False
    activation: str = "relu"

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b h2 w2 d"]:
        """Map features to `features` channels."""
        x = self.layers.conv(
            self.features, kernel=self.kernel, stride=self.stride, bias=self.bias, name="conv"
        )(x)
        x = self.layers.norm(name="norm")(x, train=train)
        return jax.nn.relu(x) if self.activation == "relu" else x


class ExchangeModule(nn.Module):
    """Residual blocks on every branch, then every branch receives the sum of all of them.

    `repeats`: see `HRNet`.
    """

    channels: tuple[int, ...]
    blocks: int
    layers: Layers
    repeats: str = "unrolled"

    @nn.compact
    def __call__(self, branches: list[Array], *, train: bool) -> list[Array]:
        """Map one feature map a branch, finest first, to maps of the same shapes."""
        inner = [self._branch(x, number, train=train) for number, x in enumerate(branches)]
        return [self._fuse(inner, target, train=train) for target in range(len(inner))]

    def _branch(self, x: Array, number: int, *, train: bool) -> Array:
        return apply_in_turn(
            self,
            functools.partial(BasicBlock, self.channels[number], 1, self.layers),
            lambda block, x: block(x, train=train).features,
            x,
            names=[f"branch{number}_block{index}" for index in range(self.blocks)],
            repeats=self.repeats,
        )

    def _fuse(self, branches: list[Array], target: int, *, train: bool) -> Array:
        """ReLU of the sum of all branches, converted to the shape of branch `target`."""
        converted = [self._convert(branches, n, target, train=train) for n in range(len(branches))]
        return jax.nn.relu(functools.reduce(operator.add, converted))

    def _convert(self, branches: list[Array], source: int, target: int, *, train: bool) -> Array:
        x, name = branches[source], f"to{target}_from{source}"
        if source > target:
            convert = ConvNorm(
                self.channels[target], self.layers, kernel=1, activation="none", name=name
            )
            height, width = branches[target].shape[1:3]
            return resize_features(convert(x, train=train), size=(height, width))
        for step in range(target - source):
            is_last = step == target - source - 1
            shrink = ConvNorm(
                self.channels[target if is_last else source],
                self.layers,
                stride=2,
                activation="none" if is_last else "relu",
                name=f"{name}_step{step}",
            )
            x = shrink(x, train=train)
        return x


class HRNet(nn.Module):
    """Stem to stride 4, stage 1 at one resolution, then one more resolution in every stage.

    Attributes:
      plan: widths and depths.
      layers: how layers compute.
      remat: "modules" keeps only what flows between modules and computes their inside again in the
        backward pass: less memory for a second forward pass; "none" keeps everything.
      repeats: "scanned" compiles the equal blocks of a branch, and the equal modules of a stage,
        once and loops over their stacked parameters: a third of the compile time, for a copy of
        the parameters and of their gradients in every pass. "unrolled" compiles each block.
        Variables and results are the same; only "unrolled" lets intermediate values be captured.
    """

    plan: TrunkPlan
    layers: Layers
    remat: str = "none"
    repeats: str = "unrolled"

    @nn.compact
    def __call__(
        self, images: Float[Array, "b h w c"], *, train: bool
    ) -> Float[Array, "b _h _w _d"]:
        """Map images to `plan.features` channels at a quarter of their size, rounded up."""
        scanned = dataclasses.replace(self.layers, convolution=convolve_in_loops)
        inner = scanned if self.repeats == "scanned" else self.layers
        x = ConvNorm(self.plan.stem, self.layers, stride=2, name="stem1")(images, train=train)
        x = ConvNorm(self.plan.stem, self.layers, stride=2, name="stem2")(x, train=train)
        for index in range(self.plan.bottlenecks):
            block = BottleneckBlock(
                self.plan.bottleneck_width, 1, self.layers, name=f"stage1_block{index}"
            )
            x = rematerialise(block, self.remat, train=train)(x).features
        branches = [x]
        for stage, modules in enumerate(self.plan.modules, start=2):
            branches = self._transition(branches, stage, train=train)
            branches = apply_in_turn(
                self,
                functools.partial(
                    ExchangeModule,
                    self.plan.channels(stage),
                    self.plan.blocks,
                    inner,
                    self.repeats,
                ),
                lambda module, x: rematerialise(module, self.remat, train=train)(x),
                branches,
                names=[f"stage{stage}_module{index}" for index in range(modules)],
                repeats=self.repeats,
            )
        height, width = branches[0].shape[1:3]
        return jnp.concatenate(
            [resize_features(x, size=(height, width)) for x in branches], axis=-1
        )

    def _transition(self, branches: list[Array], stage: int, *, train: bool) -> list[Array]:
        """Add a branch at half the coarsest size; before stage 2, also set the finest one's width."""
        channels, name = self.plan.channels(stage), f"transition{stage - 1}_branch"
        coarser = ConvNorm(channels[-1], self.layers, stride=2, name=f"{name}{stage - 1}")
        added = coarser(branches[-1], train=train)
        if stage == 2:
            branches = [
                ConvNorm(channels[0], self.layers, name=f"{name}0")(branches[0], train=train)
            ]
        return [*branches, added]


def apply_in_turn(
    parent: nn.Module,
    make: Callable[..., nn.Module],
    call: Callable[[nn.Module, Any], Any],
    x: Any,
    *,
    names: Sequence[str],
    repeats: str,
) -> Any:
    """Apply equal modules one after another, as submodules `names` of `parent`.

    Args:
      parent: its variables have one entry a name, under either value of `repeats`.
      make: makes a module from the arguments `name` or `parent`.
      call: applies a module to features of any structure and returns the same structure.
      x: the input of the first module.
      names: in order.
      repeats: "unrolled" or "scanned" (see `HRNet`).
    """
    if repeats == "unrolled" or len(names) == 1 or parent.is_initializing():
        for name in names:
            x = call(make(name=name), x)
        return x
    module, variables = make(parent=None), parent.variables
    updated = ["batch_stats"] if parent.is_mutable_collection("batch_stats") else []
    by_module = [
        {kind: variables[kind][name] for kind in ("params", "batch_stats")} for name in names
    ]

    def apply(x: Any, of_module: Any) -> tuple[Any, Any]:
        return module.apply(of_module, x, method=call, mutable=updated)

    x, new = jax.lax.scan(apply, x, jax.tree.map(lambda *leaves: jnp.stack(leaves), *by_module))
    for kind in updated:
        for index, name in enumerate(names):
            parent.put_variable(kind, name, jax.tree.map(operator.itemgetter(index), new[kind]))
    return x


def rematerialise(module: nn.Module, remat: str, *, train: bool) -> Callable[..., Any]:
    """`module` as a function of arrays; with "modules" recomputed in the backward pass (`HRNet`)."""

    def forward(module: nn.Module, *arrays: Any) -> Any:
        return module(*arrays, train=train)

    call = nn.remat(forward) if remat == "modules" else forward
    return functools.partial(call, module)
