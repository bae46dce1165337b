"""Names of layers in the public PyTorch definitions, by family of networks.

Classifiers carry torchvision's names (`layer1.0.conv1.weight`, `features.denseblock1...`). CBAM
follows them as `layer3.1.cbam.` inside a block and `cbam3.` after a stage, then `ca.fc.0`, `ca.fc.2`,
`sa.conv1` in the paper's flavour, `ChannelGate.mlp.1`, `ChannelGate.mlp.3`, `SpatialGate.spatial.conv`,
`SpatialGate.spatial.bn` in the official one. U-Net's names are milesial's, SegNet's those of the
authors' Caffe file, DeepLabV3's torchvision's.
"""

import dataclasses
from typing import TypeAlias

from mgajax.interop.hmsanet_names import HMSANET_RULES

Rules: TypeAlias = tuple[tuple[str, str], ...]
"""Regular expressions over our layer paths and what each match becomes, applied in turn."""

_RESNET: Rules = (
    (r"(^|/)stem/conv", r"\1conv1"),
    (r"(^|/)stem/norm", r"\1bn1"),
    (r"^head", "fc"),
    (r"(^|/)stage(\d)/cbam", r"\1cbam\2"),
    (r"(^|/)stage(\d)/block(\d+)", r"\1layer\2/\3"),
    (r"/norm(\d)/", r"/bn\1/"),
    (r"/shortcut_conv/", "/downsample/0/"),
    (r"/shortcut_norm/", "/downsample/1/"),
)
_DENSENET: Rules = (
    (r"^head", "classifier"),
    (r"^stem/(conv|norm)/", r"features/\g<1>0/"),
    (r"^norm/", "features/norm5/"),
    (r"^stage(\d)_layer(\d+)", r"features/denseblock\1/denselayer\2"),
    (r"^transition", "features/transition"),
)
_UNET: Rules = (
    (r"^head/", "outc/conv/"),
    (r"^encoder0/", "inc/double/"),
    (r"^encoder(\d)/", r"down\1/maxpool_conv/1/double/"),
    (r"^decoder(\d)/up/", r"up\1/up/"),
    (r"^decoder(\d)/double/", r"up\1/conv/double/"),
    (r"/double/conv1/", "/double_conv/0/"),
    (r"/double/norm1/", "/double_conv/1/"),
    (r"/double/conv2/", "/double_conv/3/"),
    (r"/double/norm2/", "/double_conv/4/"),
)
_DEEPLABV3: Rules = (
    *_RESNET,
    (r"^classifier/pyramid/branch(\d)/conv/", r"classifier/0/convs/\1/0/"),
    (r"^classifier/pyramid/branch(\d)/norm/", r"classifier/0/convs/\1/1/"),
    (r"^classifier/pyramid/overall/conv/", "classifier/0/convs/4/1/"),
    (r"^classifier/pyramid/overall/norm/", "classifier/0/convs/4/2/"),
    (r"^classifier/pyramid/project/conv/", "classifier/0/project/0/"),
    (r"^classifier/pyramid/project/norm/", "classifier/0/project/1/"),
    (r"^classifier/hidden/conv/", "classifier/1/"),
    (r"^classifier/hidden/norm/", "classifier/2/"),
    (r"^classifier/head/", "classifier/4/"),
    (r"^auxiliary/hidden/conv/", "aux_classifier/0/"),
    (r"^auxiliary/hidden/norm/", "aux_classifier/1/"),
    (r"^auxiliary/head/", "aux_classifier/4/"),
)
CBAM: dict[str, Rules] = {
    "paper": (
        (r"/channel/reduce/", "/ca/fc/0/"),
        (r"/channel/expand/", "/ca/fc/2/"),
        (r"/spatial/conv/", "/sa/conv1/"),
    ),
    "official": (
        (r"/channel/reduce/", "/ChannelGate/mlp/1/"),
        (r"/channel/expand/", "/ChannelGate/mlp/3/"),
        (r"/spatial/conv/", "/SpatialGate/spatial/conv/"),
        (r"/spatial/norm/", "/SpatialGate/spatial/bn/"),
    ),
}
"""CBAM's layers, by flavour; networks without CBAM have no layer that these match."""


@dataclasses.dataclass(frozen=True)
class Family:
    """One family's names.

    Attributes:
      rules: from our layer paths to PyTorch's layer names, with "/" for ".".
      first: our path of the layer that sees the images, and PyTorch's name of it.
      last: our path of the layer that makes the logits, and PyTorch's name of it.
    """

    rules: Rules
    first: tuple[str, str]
    last: tuple[str, str]


_RESNETS = Family(_RESNET, first=("stem/conv", "conv1"), last=("head", "fc"))
_FAMILIES = {
    "densenet": Family(
        _DENSENET, first=("stem/conv", "features.conv0"), last=("head", "classifier")
    ),
    "unet": Family(
        _UNET, first=("encoder0/conv1", "inc.double_conv.0"), last=("head", "outc.conv")
    ),
    "hmsanet": Family(
        HMSANET_RULES,
        first=("backbone/stem1/conv", "backbone.conv1"),
        last=("ocr/logits", "ocr.cls_head"),
    ),
    "segnet": Family((), first=("conv1_1", "conv1_1"), last=("conv1_1_D", "conv1_1_D")),
    "deeplabv3": Family(
        _DEEPLABV3,
        first=("backbone/stem/conv", "backbone.conv1"),
        last=("classifier/head", "classifier.4"),
    ),
}


def family(name: str) -> Family:
    """The names of a network's family; any other network is a ResNet."""
    return next((f for prefix, f in _FAMILIES.items() if name.startswith(prefix)), _RESNETS)
