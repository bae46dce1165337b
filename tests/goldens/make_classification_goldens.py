"""Makes `classification/*.npz`: what PyTorch computes, in float64, with weights drawn by name.

    pip install torch==2.13.0 numpy
    python tests/goldens/make_classification_goldens.py

The networks are those of `torch_networks.py`. A file holds no weights and no images: the tests
draw both again with `deterministic_weights.py`.
"""

from pathlib import Path

import numpy as np
import torch
from deterministic_weights import drawn_images, drawn_state
from torch import Tensor, nn
from torch.nn import functional as F
from torch_networks import DenseNet, ResNet

OUT = Path(__file__).parent / "classification"
LABELS = torch.tensor([0, 1, 2])
SIZE = 64
LOG_VARIANCES = (0.3, -1.2)
HEAD = 4
SHRINK = {
    "area": lambda x, size: F.adaptive_avg_pool2d(x, size),
    "bilinear": lambda x, size: F.interpolate(x, size, mode="bilinear"),
    "bilinear_antialias": lambda x, size: F.interpolate(x, size, mode="bilinear", antialias=True),
    "nearest": lambda x, size: F.interpolate(x, size, mode="nearest"),
    "nearest_exact": lambda x, size: F.interpolate(x, size, mode="nearest-exact"),
}
DEPTHS = (2, 2, 2, 2)
PLACEMENTS = ("last_block", "stage_end", "stage_end_residual", "every_block")


def cases() -> dict[str, nn.Module]:
    """Every network of the tests by file name; `guided` is the stage that Eq. 4 supervises."""
    networks: dict[str, nn.Module] = {
        "resnet18": ResNet(DEPTHS, channels=1),
        "resnet50": ResNet((3, 4, 6, 3), bottleneck=True),
        "densenet121": DenseNet(channels=1),
        "resnet18_cbam": ResNet(
            DEPTHS, placement="every_block", flavour="official", stages=(1, 2, 3, 4)
        ),
        "mga_simplified": ResNet(DEPTHS, stages=(1,), channels=1),
    }
    for flavour in ("paper", "official"):
        for placement in PLACEMENTS:
            networks[f"mga_{flavour}_{placement}"] = ResNet(
                DEPTHS, placement=placement, flavour=flavour, stages=(1, 2, 3), channels=1
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


def reference(case: str, network: nn.Module) -> dict[str, np.ndarray]:
    """Evaluation, one training forward and backward pass, and the statistics that it leaves."""
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    weights = {name: torch.from_numpy(array) for name, array in drawn_state(shapes).items()}
    network.load_state_dict(weights, strict=True)
    network.double()
    channels = next(iter(weights.values())).shape[1]
    images = torch.from_numpy(drawn_images((3, channels, SIZE, SIZE))).double()

    with torch.no_grad():
        logits, maps = network.eval()(images)
    out = {"channels": np.array(channels), "eval/logits": logits.numpy()}
    out |= {f"eval/{name}": attention.numpy() for name, attention in maps.items()}

    logits, maps = network.train()(images)
    likelihood = F.cross_entropy(logits, LABELS, reduction="none")
    loss, log_variances = likelihood.mean(), torch.tensor(LOG_VARIANCES, dtype=torch.float64)
    guided = guided_stage(case)
    if guided is not None:
        log_variances.requires_grad_()
        error = maps[guided] - F.adaptive_avg_pool2d(drawn_masks(), maps[guided].shape[2:])
        losses = torch.stack((likelihood.mean(), error.square().mean()))
        loss = (0.5 * torch.exp(-log_variances) * losses + 0.5 * log_variances).sum()
        for key, value in attention_losses(maps[guided], drawn_masks()).items():
            out[f"attention_loss/{key}"] = value
    loss.backward()
    if guided is not None:
        out["log_variances"] = np.array(LOG_VARIANCES)
        out["log_variances_gradient"] = log_variances.grad.numpy()

    names = [name for name, _ in network.named_parameters()]
    norms = [parameter.grad.norm().item() for _, parameter in network.named_parameters()]
    running = {k: v for k, v in network.state_dict().items() if ".running_" in k}
    return out | {
        "parameter_count": np.array(sum(p.numel() for p in network.parameters())),
        "state_names": np.array(list(weights)),
        "state_shapes": np.array(["x".join(map(str, w.shape)) for w in weights.values()]),
        "train/logits": logits.detach().numpy(),
        "train/cross_entropy": likelihood.detach().numpy(),
        "train/loss": loss.detach().numpy(),
        "gradient_names": np.array(names),
        "gradient_norms": np.array(norms),
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
        print(f"{path.name:36} {path.stat().st_size / 1000:6.1f} kB")


if __name__ == "__main__":
    main()
