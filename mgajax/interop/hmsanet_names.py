"""NVIDIA's names of HMSANet's layers, and HRNet's ImageNet weights for its trunk."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mgajax.errors import DataError

HMSANET_RULES = (
    (r"^backbone/stem(\d)/conv/", r"backbone/conv\1/"),
    (r"^backbone/stem(\d)/norm/", r"backbone/bn\1/"),
    (r"^backbone/stage1_block(\d+)/", r"backbone/layer1/\1/"),
    (r"/shortcut_conv/", "/downsample/0/"),
    (r"/shortcut_norm/", "/downsample/1/"),
    # The stride-1 transition lies one level higher than the strided ones.
    (r"^backbone/transition(\d)_branch0/", r"backbone/transition\1/0/"),
    (r"^backbone/transition(\d)_branch(\d)/", r"backbone/transition\1/\2/0/"),
    (r"^backbone/stage(\d)_module(\d+)/", r"backbone/stage\1/\2/"),
    (r"/branch(\d)_block(\d+)/", r"/branches/\1/\2/"),
    (r"/norm(\d)/", r"/bn\1/"),
    (r"/to(\d)_from(\d)_step(\d)/", r"/fuse_layers/\1/\2/\3/"),
    (r"/to(\d)_from(\d)/", r"/fuse_layers/\1/\2/"),
    (r"^(backbone/.*)/conv/", r"\1/0/"),
    (r"^(backbone/.*)/norm/", r"\1/1/"),
    (r"^scale_attention/", "scale_attn/"),
    (r"^ocr/logits/", "ocr/cls_head/"),
    (r"^ocr/coarse_logits/", "ocr/aux_head/2/"),
    (r"^ocr/coarse/", "ocr/aux_head/"),
    (r"^ocr/pixels/", "ocr/conv3x3_ocr/"),
    (r"^ocr/joined/", "ocr/ocr_distri_head/conv_bn_dropout/"),
    (r"^ocr/object_attention/", "ocr/ocr_distri_head/object_context_block/"),
    (r"/query1/", "/f_pixel/"),
    (r"/query2/conv/", "/f_pixel/2/"),
    (r"/query2/norm/", "/f_pixel/3/0/"),
    (r"/key1/", "/f_object/"),
    (r"/key2/conv/", "/f_object/2/"),
    (r"/key2/norm/", "/f_object/3/0/"),
    (r"/value/", "/f_down/"),
    (r"/output/", "/f_up/"),
    (r"^(ocr/.*)/conv/", r"\1/0/"),
    (r"^(ocr/.*)/norm/", r"\1/1/0/"),
)
"""From our layer paths to NVIDIA's layer names, with "/" for "."; applied in turn."""

_TRUNK = "backbone."


def with_imagenet_trunk(
    state: Mapping[str, np.ndarray], imagenet: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """HMSANet's state dict with the trunk of an ImageNet classifier file (HRNet's authors').

    `from_torch("hmsanet", with_imagenet_trunk(to_torch("hmsanet", variables), file))` starts
    training from it. The file's classification head has no use here and is left out.

    Args:
      state: a state dict of HMSANet by NVIDIA's names.
      imagenet: the file's arrays by name, with or without a leading "model.".

    Returns:
      A new state dict. Where the network takes one channel and the file three, the first
      convolution is summed over them: the answer to a grey picture copied three times.

    Raises:
      DataError: the file lacks layers of this trunk; they are named.
    """
    trunk = {_TRUNK + key.removeprefix("model."): value for key, value in imagenet.items()}
    names = [name for name in state if name.startswith(_TRUNK)]
    missing = [name.removeprefix(_TRUNK) for name in names if name not in trunk]
    if missing:
        raise DataError(
            f"ImageNet weights lack {len(missing)} of the trunk's {len(names)} arrays, the first "
            f"is {missing[0]}; check that the file is an HRNet of the width that `trunk` names"
        )
    merged: dict[str, Any] = dict(state) | {name: np.asarray(trunk[name]) for name in names}
    first_layer = f"{_TRUNK}conv1.weight"
    if state[first_layer].shape[1] == 1 < merged[first_layer].shape[1]:
        merged[first_layer] = merged[first_layer].sum(axis=1, keepdims=True)
    return merged
