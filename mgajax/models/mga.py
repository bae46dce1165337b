"""The paper's classifier: ResNet-18 + CBAM whose spatial map is guided by lesion masks (§4.2).

The network is `resnet18_cbam`; guidance adds no parameter. It adds the name of the map that the
attention loss (Eq. 4) compares with the mask and, for the paper's outlook (§7: lungs and lesions), of a
map of another stage that the same loss compares with the lungs.
"""

from collections.abc import Sequence

from mgajax.errors import ConfigError
from mgajax.models.resnet import DEPTHS_18, STAGE_WIDTHS, ResNet, resnet18_cbam


def mga_resnet18(
    *,
    num_classes: int,
    mga_stage: int = 3,
    lung_stage: int | None = None,
    placement: str = "last_block",
    flavour: str = "paper",
    stages: Sequence[int] = (1, 2, 3),
    width: int = STAGE_WIDTHS[0],
    depths: Sequence[int] = DEPTHS_18,
    dtype: str = "float32",
    axis_name: str | None = None,
) -> ResNet:
    """ResNet-18 with CBAM and mask-guided attention at residual stage `mga_stage`.

    Stage 3 is the paper's choice (Table 5). With `placement="every_block"` a stage has several
    maps; the last one is guided (the paper has one CBAM a stage).

    At `lung_stage`, if given, the lungs guide the map: with lungs in stage 2 and lesions in stage 3
    the network first learns where to look, then what to look for. The paper only proposes this; a map
    has one target, so the two are in two stages.

    Raises:
      ConfigError: `mga_stage` or `lung_stage` is not among `stages`, both are one, or an option is
        unknown.
    """
    guided = {"mga_stage": mga_stage} | ({} if lung_stage is None else {"lung_stage": lung_stage})
    for name, stage in guided.items():
        if stage not in tuple(stages):
            raise ConfigError(
                f"{name}={stage!r}: no attention there, stages={tuple(stages)!r}; "
                f"use one of these stages, or add {stage!r} to them"
            )
    if lung_stage == mga_stage:
        raise ConfigError(
            f"lung_stage={lung_stage}: lesions guide the map of that stage (mga_stage); use another"
        )
    network = resnet18_cbam(
        num_classes=num_classes,
        placement=placement,
        flavour=flavour,
        stages=stages,
        width=width,
        depths=depths,
        dtype=dtype,
        axis_name=axis_name,
    )
    lungs = f"stage{lung_stage}" if lung_stage is not None else None
    return network.clone(guided=f"stage{mga_stage}", lungs=lungs)
