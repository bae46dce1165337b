"""The loss of a step, as `mgajax.training.tasks` defines it, where every example and mask counts."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgajax.benchmark.torch_baseline.job import TorchJob
from mgajax.benchmark.torch_baseline.layers import Output, resize, size_of, widen

LESION_SHARE = 0.5
COARSE = ("ocr", "fcn")


class Loss(nn.Module):
    """A network and its loss in one module, so that both are compiled together."""

    def __init__(self, network: nn.Module, job: TorchJob) -> None:
        super().__init__()
        self.network, self.job = network, job
        self.log_variances = nn.Parameter(torch.zeros(len(job.learned))) if job.learned else None

    def forward(self, images: Tensor, masks: Tensor, labels: Tensor) -> Tensor:
        """The total over one batch, float32.

        Args:
          images: uint8 `[b, c, h, w]`.
          masks: uint8 `[b, 1, h, w]`, share of lesion times 255.
          labels: int64 `[b]`.
        """
        output, share = self.output(images), masks.float() / 255.0
        if self.job.task == "classification":
            return self._class_loss(output, share, labels)
        return self._pixel_loss(output, (share[:, 0] >= LESION_SHARE).long())

    def output(self, images: Tensor) -> Output:
        """The network's output for uint8 images, under the job's compute type."""
        grey = images.float() * self.job.grey_scale - self.job.grey_shift
        if self.job.dtype == "float64":
            return self.network(grey.double())
        low = self.job.dtype == "bfloat16"
        with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=low):
            return self.network(grey)

    def _class_loss(self, output: Output, share: Tensor, labels: Tensor) -> Tensor:
        settings = self.job.loss
        loss = F.cross_entropy(widen(output.logits), labels)
        if self.job.guided is None:
            return loss
        attention = widen(output.maps[self.job.guided])
        target = shrink(share, size_of(attention), settings["attention_resize"])
        compare = F.mse_loss if settings["attention_kind"] == "mse" else F.l1_loss
        guidance = compare(attention, target)
        if self.log_variances is None:
            return loss + settings["attention_weight"] * guidance
        s = self.log_variances
        return (0.5 * torch.exp(-s) * torch.stack((loss, guidance)) + 0.5 * s).sum()

    def _pixel_loss(self, output: Output, targets: Tensor) -> Tensor:
        settings = self.job.loss
        loss = F.cross_entropy(widen(output.logits), targets)
        size = (targets.shape[1], targets.shape[2])
        for name, logits in output.maps.items():
            weight = settings["auxiliary_weight" if name in COARSE else "scale_weight"]
            if weight > 0.0:
                map_loss = F.cross_entropy(resize(widen(logits), size), targets)
                loss = loss + weight * map_loss
        return loss


def shrink(masks: Tensor, size: tuple[int, int], method: str) -> Tensor:
    """Bring masks to an attention map's size; `method` as in `mgajax.models.resize.RESIZE_METHODS`."""
    if method == "area":
        return F.adaptive_avg_pool2d(masks, size)
    settings: dict[str, Any] = {"mode": method.replace("_antialias", "").replace("_", "-")}
    if method.startswith("bilinear"):
        settings |= {"align_corners": False, "antialias": method.endswith("_antialias")}
    return F.interpolate(masks, size, **settings)
