"""One train step and one eval step in PyTorch, in each mode that is tried."""

import collections
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mgajax.benchmark.torch_baseline.job import TorchJob
from mgajax.benchmark.torch_baseline.losses import Loss
from mgajax.benchmark.torch_baseline.registry import create

COMPILED: dict[str, str] = {
    "compiled": "default",
    "compiled_autotuned": "max-autotune-no-cudagraphs",
    "compiled_cuda_graphs": "reduce-overhead",
}
"""Our names of modes, and `torch.compile`'s."""
MODES = ("contiguous", "channels_last", *COMPILED, "cuda_graph")
"""NCHW or NHWC as it is; NHWC compiled in three ways; NHWC, the whole step as one CUDA graph."""
WARM_UP_STEPS = 3


def modes_for(device: str) -> tuple[str, ...]:
    """The modes that may be the best on a device; CUDA graphs need a GPU."""
    return MODES if device == "cuda" else ("contiguous", "channels_last", "compiled")


class Stepper:
    """A network that takes steps in one mode, on one batch that is on the device.

    Args:
      job: network, loss, optimiser.
      weights: by parameter name; all of them.
      batch: `images` and `masks` uint8 `[b, h, w, c]`, `labels` int32 `[b]`.
      kind: "train" or "eval".
      mode: one of `MODES`.
      device: "cpu" or "cuda".
    """

    def __init__(
        self,
        job: TorchJob,
        *,
        weights: Mapping[str, np.ndarray],
        batch: Mapping[str, np.ndarray],
        kind: str,
        mode: str,
        device: str,
    ) -> None:
        layout = torch.contiguous_format if mode == "contiguous" else torch.channels_last
        network = create(job.family, job.dimensions)
        load(network, weights)
        if job.dtype == "float64":
            network = network.double()
        self.module = Loss(network, job).to(device).to(memory_format=layout)
        self.module.train(kind == "train")
        self.inputs = (
            _pixels(batch["images"], device, layout),
            _pixels(batch["masks"], device, layout),
            torch.from_numpy(batch["labels"].astype(np.int64)).to(device),
        )
        self.device, self.loss = device, torch.zeros(())
        compiler = COMPILED.get(mode)
        if kind == "train":
            forward: Callable[..., Tensor] = _compile(self.module, compiler)
            step = self._train_step(forward, _optimisers(self.module, job, mode=mode))
        else:
            step = self._eval_step(_compile(self.module.output, compiler))
        self.step = _capture(step) if mode == "cuda_graph" else step
        self.begin = _nothing
        if mode == "compiled_cuda_graphs":
            self.begin = torch.compiler.cudagraph_mark_step_begin

    def run(self, steps: int) -> list[float]:
        """Seconds of each step, from one finished result to the next.

        On a GPU one more step is under way by the time that one is waited for, as in training.
        """
        waiting: collections.deque[Callable[[], None]] = collections.deque()
        ahead = 1 if self.device == "cuda" else 0
        seconds, began = [], time.perf_counter()
        for number in range(steps + ahead):
            if number < steps:
                waiting.append(self._start_one())
            if number >= ahead:
                waiting.popleft()()
                ended = time.perf_counter()
                seconds.append(ended - began)
                began = ended
        return seconds

    def _start_one(self) -> Callable[[], None]:
        """One more step; what waits for its end."""
        self.begin()
        self.step()
        if self.device != "cuda":
            return _nothing
        event = torch.cuda.Event()
        event.record()
        return event.synchronize

    def _train_step(
        self, forward: Callable[..., Tensor], optimisers: list[torch.optim.Optimizer]
    ) -> Callable[[], None]:
        def step() -> None:
            loss = forward(*self.inputs)
            loss.backward()
            for optimiser in optimisers:
                optimiser.step()
                optimiser.zero_grad(set_to_none=True)
            self.loss = loss.detach()

        return step

    def _eval_step(self, forward: Callable[..., object]) -> Callable[[], None]:
        def step() -> None:
            with torch.inference_mode():
                forward(self.inputs[0])

        return step


def _nothing() -> None:
    """What most modes do before a step, and a CPU after it."""


def load(network: nn.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Give a network all its weights and statistics by name, none missing and none left over."""
    arrays = {name: torch.from_numpy(np.array(array)) for name, array in weights.items()}
    network.load_state_dict(arrays, strict=True)


def _pixels(array: np.ndarray, device: str, layout: torch.memory_format) -> Tensor:
    """uint8 `[b, h, w, c]` as `[b, c, h, w]` on the device."""
    tensor = torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2)))
    return tensor.to(device).contiguous(memory_format=layout)


def _compile(function: Callable[..., Tensor], mode: str | None) -> Callable[..., Tensor]:
    return function if mode is None else torch.compile(function, mode=mode)


def _optimisers(module: Loss, job: TorchJob, *, mode: str) -> list[torch.optim.Optimizer]:
    """As `mgajax.training.state.make_optimiser`, in PyTorch's fused forms."""
    settings = job.optimiser
    rate = settings["learning_rate"]
    graphed: dict[str, Any] = {"capturable": True} if mode == "cuda_graph" else {}
    learned: list[dict[str, Any]] = []
    if module.log_variances is not None:
        faster = rate * settings["log_variance_rate"]
        learned.append({"params": [module.log_variances], "lr": faster})
    weights: list[dict[str, Any]] = [{"params": list(module.network.parameters())}]
    if settings["name"] == "adam":
        return [torch.optim.Adam(weights + learned, lr=rate, fused=True, **graphed)]
    momentum, decay = settings["momentum"], settings["weight_decay"]
    sgd = torch.optim.SGD(weights, lr=rate, momentum=momentum, weight_decay=decay, fused=True)
    return [sgd, *(torch.optim.Adam([group], fused=True, **graphed) for group in learned)]


def _capture(step: Callable[[], None]) -> Callable[[], None]:
    """The step as one CUDA graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP_STEPS):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def allow_tf32() -> None:
    """Float32 products in TF32 on GPUs that have it, as XLA computes them by default."""
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
