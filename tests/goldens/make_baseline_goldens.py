"""Makes `segmentation/*.npz`: what PyTorch computes, in float64, with weights drawn by name.

    pip install -e . torch==2.13.0
    python tests/goldens/make_baseline_goldens.py

The networks are those of `mgajax.benchmark.torch_baseline`. A file holds no weights and no images: the tests
draw both again with `deterministic_weights.py`. PyTorch's own float32 gap of the gradients is
printed: where two values nearly tie for a maximum, rounding decides which one receives the gradient,
so `IMAGE_SEEDS` names seeds with few such ties.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from deterministic_weights import drawn_images, drawn_state
from torch import Tensor, nn
from torch.nn import functional as F

from mgajax.benchmark.torch_baseline.registry import create

OUT = Path(__file__).parent / "segmentation"
AUXILIARY_WEIGHT = 0.5
HEAD = 4
THINNING = 3
IMAGE_SEEDS = {"segnet": 3, "unet_bilinear": 1}
DAMPED = {"backbone.layer*.bn3.weight": 0.2}
CASES: dict[str, tuple[str, dict[str, Any], tuple[int, int, int, int]]] = {
    "unet": ("unet", {"upsampling": "transposed"}, (2, 1, 35, 50)),
    "unet_bilinear": ("unet", {"upsampling": "bilinear"}, (2, 3, 35, 50)),
    "segnet": ("segnet", {}, (2, 1, 67, 70)),
    "deeplabv3_resnet50": (
        "deeplabv3",
        {
            "depths": (3, 4, 6, 3),
            "auxiliary": "fcn",
            "dropout": 0.0,
            "auxiliary_dropout": 0.0,
        },
        (3, 1, 97, 104),
    ),
}


def drawn_classes(shape: tuple[int, ...]) -> Tensor:
    """A class for every pixel."""
    return torch.from_numpy(np.random.default_rng(1).integers(0, 2, (shape[0], *shape[2:])))


def load(network: nn.Module) -> None:
    """Give a network the weights of its names."""
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    state = drawn_state(shapes, gains=DAMPED)
    network.zero_grad()
    network.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()}, strict=True)


def scores(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor | None]:
    """Logits, and those of the auxiliary head if there is one."""
    output = network(images)
    return output.logits, output.maps.get("fcn")


def train(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and loss of one training forward and backward pass: cross-entropy, all pixels."""
    logits, auxiliary = scores(network.train(), images)
    truth = drawn_classes(tuple(images.shape))
    loss = F.cross_entropy(logits, truth)
    if auxiliary is not None:
        loss = loss + AUXILIARY_WEIGHT * F.cross_entropy(auxiliary, truth)
    loss.backward()
    return logits.detach(), loss.detach()


def gradient_norms(network: nn.Module) -> np.ndarray:
    """The norm of every parameter's gradient, in the order of `named_parameters`."""
    return np.array([p.grad.double().norm().item() for p in network.parameters()])


def thinned(logits: Tensor) -> np.ndarray:
    """Every third pixel of every third row, float32."""
    return logits[:, :, ::THINNING, ::THINNING].numpy().astype(np.float32)


def reference(network: nn.Module, images: Tensor) -> dict[str, np.ndarray]:
    """Evaluation, one training forward and backward pass, and the statistics that it leaves."""
    load(network)
    train(network.float(), images.float())
    single = gradient_norms(network)
    load(network.double())
    with torch.no_grad():
        logits, auxiliary = scores(network.eval(), images)
    out = {"eval/logits": thinned(logits)}
    if auxiliary is not None:
        out["eval/auxiliary"] = thinned(auxiliary)
    _, loss = train(network, images)
    norms = gradient_norms(network)
    out["rounding"] = np.max(np.abs(single - norms) / (norms + 1e-3 * np.linalg.norm(norms)))
    state = {k: v for k, v in network.state_dict().items() if not k.endswith("batches_tracked")}
    running = {k: v for k, v in state.items() if ".running_" in k}
    return out | {
        "images_shape": np.array(images.shape),
        "parameter_count": np.array(sum(p.numel() for p in network.parameters())),
        "state_names": np.array(list(state)),
        "state_shapes": np.array(["x".join(map(str, w.shape)) for w in state.values()]),
        "train/loss": loss.numpy(),
        "gradient_names": np.array([name for name, _ in network.named_parameters()]),
        "gradient_norms": norms,
        "running_names": np.array(list(running)),
        "running_heads": np.concatenate([v.flatten()[:HEAD].numpy() for v in running.values()]),
    }


def main() -> None:
    """Write every file and say how large it is."""
    OUT.mkdir(exist_ok=True)
    for name, (family, dimensions, shape) in CASES.items():
        seed = IMAGE_SEEDS.get(name, 0)
        images = torch.from_numpy(drawn_images(shape, seed=seed)).double()
        network = create(family, {"num_classes": 2, "channels": shape[1], **dimensions})
        arrays = reference(network, images) | {"seed": np.array(seed)}
        path = OUT / f"{name}.npz"
        np.savez_compressed(path, **arrays)
        size = path.stat().st_size / 1000
        gap = float(arrays["rounding"])
        print(f"{path.name:28} {size:6.1f} kB, float32 gradients off by {gap:.0e}", flush=True)


if __name__ == "__main__":
    main()
