"""Makes `classification/*.npz`: what PyTorch computes, in float64, with weights drawn by name.

    pip install -e . torch==2.13.0
    python tests/goldens/make_classification_goldens.py

The networks are those of `mgajax.benchmark.torch_baseline`. A file holds no weights and no images: the tests
draw both again with `deterministic_weights.py`.

Where two values nearly tie for a maximum, rounding decides which one receives the gradient, and no
float32 implementation can be held to the reference. So the images are of seed 0 unless
`IMAGE_SEEDS` names a seed with fewer such ties; PyTorch's own float32 gap is stored and printed.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from deterministic_weights import drawn_images, drawn_state
from torch import Tensor, nn
from torch.nn import functional as F

from mgajax.benchmark.torch_baseline.densenet import TorchDenseNet
from mgajax.benchmark.torch_baseline.resnet import TorchResNet

OUT = Path(__file__).parent / "classification"
LABELS = torch.tensor([0, 1, 2])
SIZE = 64
LOG_VARIANCES = (0.3, -1.2)
HEAD = 4
IMAGE_SEEDS = {"resnet50": 5, "mga_paper_stage_end": 7}
SHRINK = {
    "area": lambda x, size: F.adaptive_avg_pool2d(x, size),
    "bilinear": lambda x, size: F.interpolate(x, size, mode="bilinear"),
    "bilinear_antialias": lambda x, size: F.interpolate(x, size, mode="bilinear", antialias=True),
    "nearest": lambda x, size: F.interpolate(x, size, mode="nearest"),
    "nearest_exact": lambda x, size: F.interpolate(x, size, mode="nearest-exact"),
}
PLACEMENTS = ("last_block", "stage_end", "stage_end_residual", "every_block")


def resnet(**dimensions: Any) -> nn.Module:
    """A ResNet-18 with three classes and without attention, unless `dimensions` say otherwise."""
    usual = {"block": "basic", "depths": (2, 2, 2, 2), "num_classes": 3}
    return TorchResNet(
        **(usual | {"placement": "last_block", "flavour": "paper", "stages": ()} | dimensions)
    )


def cases() -> dict[str, nn.Module]:
    """Every network of the tests by file name; `guided` is the stage that Eq. 4 supervises."""
    networks: dict[str, nn.Module] = {
        "resnet18": resnet(channels=1),
        "resnet50": resnet(block="bottleneck", depths=(3, 4, 6, 3), channels=3),
        "densenet121": TorchDenseNet(num_classes=3, channels=1, depths=(6, 12, 24, 16)),
        "resnet18_cbam": resnet(
            placement="every_block", flavour="official", stages=(1, 2, 3, 4), channels=3
        ),
        "mga_simplified": resnet(stages=(1,), channels=1),
    }
    for flavour in ("paper", "official"):
        for placement in PLACEMENTS:
            networks[f"mga_{flavour}_{placement}"] = resnet(
                placement=placement, flavour=flavour, stages=(1, 2, 3), channels=1
            )
    return networks


def guided_stage(case: str) -> str | None:
    """The supervised map of a case."""
    if not case.startswith("mga"):
        return None
    return "stage1" if case == "mga_simplified" else "stage3"


def drawn_masks() -> Tensor:
    """Two discs and, for the first image, nothing: float64 [3, 1, SIZE, SIZE]."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    masks = np.zeros((3, 1, SIZE, SIZE))
    masks[1, 0] = (rows - 20) ** 2 + (columns - 41) ** 2 < 9**2
    masks[2, 0] = (rows - 47) ** 2 + (columns - 10) ** 2 < 14**2
    return torch.from_numpy(masks)


def attention_losses(attention: Tensor, masks: Tensor) -> dict[str, np.ndarray]:
    """Eq. 4 of one map, per example, for every way to shrink a mask."""
    losses = {}
    for method, shrink in SHRINK.items():
        error = attention - shrink(masks, attention.shape[2:])
        losses[f"mse/{method}"] = error.square().mean((1, 2, 3)).detach().numpy()
        losses[f"l1/{method}"] = error.abs().mean((1, 2, 3)).detach().numpy()
    return losses


@dataclasses.dataclass(frozen=True)
class Pass:
    """One training forward and backward pass of a network that keeps the gradients."""

    logits: Tensor
    maps: dict[str, Tensor]
    cross_entropy: Tensor
    loss: Tensor
    log_variances: Tensor


def load(network: nn.Module) -> int:
    """Give a network the weights of its names, in evaluation's state; its number of channels."""
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    weights = {name: torch.from_numpy(array) for name, array in drawn_state(shapes).items()}
    network.zero_grad()
    network.load_state_dict(weights, strict=True)
    return next(iter(weights.values())).shape[1]


def train(network: nn.Module, images: Tensor, *, guided: str | None) -> Pass:
    """The mean cross-entropy, or Eq. 6 with Eq. 4 where a map is guided, and its gradients."""
    logits, maps = network.train()(images)
    likelihood = F.cross_entropy(logits, LABELS, reduction="none")
    loss = likelihood.mean()
    s = torch.tensor(LOG_VARIANCES, dtype=images.dtype, requires_grad=True)
    if guided is not None:
        masks = F.adaptive_avg_pool2d(drawn_masks(), maps[guided].shape[2:]).to(images.dtype)
        losses = torch.stack((loss, (maps[guided] - masks).square().mean()))
        loss = (0.5 * torch.exp(-s) * losses + 0.5 * s).sum()
    loss.backward()
    return Pass(logits, maps, likelihood, loss, s)


def gradient_norms(network: nn.Module) -> np.ndarray:
    """The norm of every parameter's gradient, in the order of `named_parameters`."""
    return np.array([p.grad.double().norm().item() for p in network.parameters()])


def rounding(case: str, network: nn.Module, *, seed: int) -> float:
    """The largest relative change of a gradient's norm between float32 and float64."""
    norms = []
    for dtype in (torch.float32, torch.float64):
        images = torch.from_numpy(drawn_images((3, load(network), SIZE, SIZE), seed=seed))
        train(network.to(dtype), images.to(dtype), guided=guided_stage(case))
        norms.append(gradient_norms(network))
    single, double = norms
    return float(np.max(np.abs(single - double) / (double + 1e-3 * np.linalg.norm(double))))


def reference(case: str, network: nn.Module) -> dict[str, np.ndarray]:
    """Evaluation, one training forward and backward pass, and the statistics that it leaves."""
    seed = IMAGE_SEEDS.get(case, 0)
    gap = rounding(case, network, seed=seed)
    channels, guided = load(network), guided_stage(case)
    images = torch.from_numpy(drawn_images((3, channels, SIZE, SIZE), seed=seed)).double()
    with torch.no_grad():
        logits, maps = network.eval()(images)
    out = {"channels": np.array(channels), "seed": np.array(seed), "rounding": np.array(gap)}
    out["eval/logits"] = logits.numpy()
    out |= {f"eval/{name}": attention.numpy() for name, attention in maps.items()}

    trained = train(network, images, guided=guided)
    if guided is not None:
        for key, value in attention_losses(trained.maps[guided], drawn_masks()).items():
            out[f"attention_loss/{key}"] = value
        out["log_variances"] = np.array(LOG_VARIANCES)
        out["log_variances_gradient"] = trained.log_variances.grad.numpy()

    state = {k: v for k, v in network.state_dict().items() if not k.endswith("batches_tracked")}
    running = {k: v for k, v in state.items() if ".running_" in k}
    return out | {
        "parameter_count": np.array(sum(p.numel() for p in network.parameters())),
        "state_names": np.array(list(state)),
        "state_shapes": np.array(["x".join(map(str, w.shape)) for w in state.values()]),
        "train/logits": trained.logits.detach().numpy(),
        "train/cross_entropy": trained.cross_entropy.detach().numpy(),
        "train/loss": trained.loss.detach().numpy(),
        "gradient_names": np.array([name for name, _ in network.named_parameters()]),
        "gradient_norms": gradient_norms(network),
        "running_names": np.array(list(running)),
        "running_heads": np.concatenate([v.flatten()[:HEAD].numpy() for v in running.values()]),
    }


def shrunk() -> dict[str, np.ndarray]:
    """A soft mask brought to smaller, odd and larger sizes by every method."""
    soft = np.random.default_rng(5).random((2, 1, 21, 28))
    out = {"mask": soft}
    for height, width in ((7, 7), (5, 9), (3, 28), (21, 4), (30, 40)):
        for method, shrink in SHRINK.items():
            resized = shrink(torch.from_numpy(soft), (height, width))
            out[f"{method}/{height}x{width}"] = resized.numpy().astype(np.float32)
    return out


def main() -> None:
    """Write every file and say how large it is."""
    OUT.mkdir(exist_ok=True)
    files = {"resize": shrunk()}
    files |= {case: reference(case, network) for case, network in cases().items()}
    for name, arrays in files.items():
        path = OUT / f"{name}.npz"
        np.savez_compressed(path, **arrays)
        gap = f", float32 gradients off by {arrays['rounding']:.0e}" if "rounding" in arrays else ""
        print(f"{path.name:36} {path.stat().st_size / 1000:6.1f} kB{gap}", flush=True)


if __name__ == "__main__":
    main()
