"""The paper's classifier: ResNet-18 + CBAM whose spatial map is guided by lesion masks (§4.2).

The network is `resnet18_cbam`; guidance adds no parameter. What it adds is the name of the one map
that the attention loss (Eq. 4) compares with the mask.
"""

from collections.abc import Sequence

from mgajax.errors import ConfigError
from mgajax.models.resnet import ResNet, resnet18_cbam


def mga_resnet18(
    *,
    num_classes: int,
    mga_stage: int = 3,
    placement: str = "last_block",
    flavour: str = "paper",
    stages: Sequence[int] = (1, 2, 3),
    dtype: str = "float32",
    axis_name: str | None = None,
) -> ResNet:
    """ResNet-18 with CBAM and mask-guided attention at residual stage `mga_stage`.

    Stage 3 is the paper's choice (Table 5). With `placement="every_block"` a stage has several
    maps; the last one is guided (the paper is silent, it knows one CBAM a stage).

    Raises:
      ConfigError: `mga_stage` is not among `stages`, or an option is unknown.
    """
    if mga_stage not in tuple(stages):
        raise ConfigError(
            f"mga_stage={mga_stage!r}: no attention there, stages={tuple(stages)!r}; "
            f"use one of these stages, or add {mga_stage!r} to them"
        )
    network = resnet18_cbam(
        num_classes=num_classes,
        placement=placement,
        flavour=flavour,
        stages=stages,
        dtype=dtype,
        axis_name=axis_name,
    )
    return network.clone(guided=f"stage{mga_stage}")
