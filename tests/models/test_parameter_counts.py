"""Golden parameter counts of every network and ablation (three classes, three input channels)."""

import itertools

import pytest

from mgajax import models
from mgajax.models.cbam import FLAVOURS, PLACEMENTS
from mgajax.models.registry import CLASSIFIERS, SEGMENTERS

RESNET18 = 11_178_051
COUNTS = {
    ("resnet18",): RESNET18,
    ("resnet50",): 23_514_179,
    ("densenet121",): 6_956_931,
}
ATTENTION_COUNTS = {
    ("paper", "last_block"): 11_189_097,
    ("paper", "stage_end"): 11_189_097,
    ("paper", "stage_end_residual"): 11_189_097,
    ("paper", "every_block"): 11_200_143,
    ("official", "last_block"): 11_189_579,
    ("official", "stage_end"): 11_189_579,
    ("official", "stage_end_residual"): 11_189_579,
    ("official", "every_block"): 11_201_107,
}
SEGMENTER_COUNTS = {
    ("hmsanet", (("trunk", "hrnet_tiny"),)): 89_036,
    ("hmsanet", (("trunk", "hrnet_w18_small"),)): 1_722_100,
    ("hmsanet", (("trunk", "hrnet_w18"),)): 13_838_242,
    ("hmsanet", (("trunk", "hrnet_w32"),)): 34_707_748,
    ("hmsanet", (("trunk", "hrnet_w48"),)): 72_122_452,
    ("unet", ()): 31_037_698,
    ("unet", (("upsampling", "bilinear"),)): 17_263_042,
    ("unet", (("width", 16),)): 1_942_594,
    ("segnet", ()): 29_444_162,
    ("segnet", (("width", 16),)): 1_845_266,
    ("deeplabv3_resnet50", ()): 41_994_308,
    ("deeplabv3_resnet50", (("width", 16),)): 2_637_332,
    ("deeplabv3_resnet101", ()): 60_986_436,
}
STAGE_COUNTS = {
    (1,): RESNET18 + 2 * 64 * 4 + 98,
    (2,): RESNET18 + 2 * 128 * 8 + 98,
    (3,): RESNET18 + 2 * 256 * 16 + 98,
    (1, 2): RESNET18 + 2 * 64 * 4 + 2 * 128 * 8 + 2 * 98,
    (1, 2, 3): 11_189_097,
}


def shapes_of(name: str, *, num_classes: int = 3, channels: int = 3, **options) -> dict:
    model = models.create(name, num_classes=num_classes, **options)
    return models.variable_shapes(model, image_size=64, channels=channels)


def counted(name: str, **options) -> int:
    return models.count(shapes_of(name, **options))


def test_every_network_and_every_ablation_has_a_row() -> None:
    attended = {name for name in models.names() if "placement" in models.options(name)}
    assert {name for (name,) in COUNTS} | attended == set(CLASSIFIERS)
    assert {name for name, _ in SEGMENTER_COUNTS} >= set(SEGMENTERS)
    assert set(ATTENTION_COUNTS) == set(itertools.product(FLAVOURS, PLACEMENTS))


@pytest.mark.parametrize("name", [name for (name,) in COUNTS])
def test_backbones(name: str) -> None:
    assert counted(name) == COUNTS[(name,)]


@pytest.mark.parametrize("name", ["resnet18_cbam", "mga_resnet18"])
@pytest.mark.parametrize(("flavour", "placement"), ATTENTION_COUNTS)
def test_attention(name: str, flavour: str, placement: str) -> None:
    expected = ATTENTION_COUNTS[flavour, placement]
    assert counted(name, flavour=flavour, placement=placement) == expected


@pytest.mark.parametrize("stages", STAGE_COUNTS)
def test_stages(stages: tuple[int, ...]) -> None:
    assert counted("mga_resnet18", stages=stages, mga_stage=stages[0]) == STAGE_COUNTS[stages]


def test_released_networks_with_a_thousand_classes() -> None:
    assert counted("resnet18", num_classes=1000) == 11_689_512
    released = {"placement": "every_block", "stages": (1, 2, 3, 4)}
    assert counted("resnet18_cbam", flavour="official", **released) == 11_267_931
    assert counted("resnet18_cbam", flavour="paper", **released) == 11_265_875


@pytest.mark.parametrize(("name", "options"), SEGMENTER_COUNTS)
def test_segmenters_of_two_classes(name: str, options: tuple) -> None:
    assert counted(name, num_classes=2, **dict(options)) == SEGMENTER_COUNTS[name, options]


def test_the_published_trunk_has_its_count() -> None:
    backbone = shapes_of("hmsanet", num_classes=2, trunk="hrnet_w48")["params"]["backbone"]
    assert models.count({"params": backbone}) == 65_325_120


def test_published_counts_of_deeplabv3() -> None:
    assert counted("deeplabv3_resnet50", num_classes=21) == 42_004_074
    assert counted("deeplabv3_resnet101", num_classes=21) == 60_996_202


def test_the_auxiliary_head_can_be_left_out() -> None:
    head = 9 * 1024 * 256 + 2 * 256 + 2 * 256 + 2
    without = counted("deeplabv3_resnet50", num_classes=2, auxiliary="none")
    assert without == SEGMENTER_COUNTS["deeplabv3_resnet50", ()] - head


@pytest.mark.parametrize(
    ("name", "width", "depths", "count"),
    [
        # One block a stage. Width w: 147 w in the stem's convolution, (18 + 54 + 216 + 864) w² in
        # the 3×3 kernels, (2 + 8 + 32) w² in the 1×1 shortcuts, 90 w in normalisations, 24 w + 3.
        ("resnet18", 4, (1, 1, 1, 1), 20_151),
        ("resnet18", 16, (1, 1, 1, 1), 309_843),
        # Another block of stage 2 has two kernels of 3×3×2w×2w and two normalisations.
        ("resnet18", 16, (1, 2, 1, 1), 309_843 + 2 * 9 * 32**2 + 4 * 32),
        # CBAM in stages 1 to 3: two matrices of c × c / 16 and one kernel of 7×7×2 each.
        ("resnet18_cbam", 16, (1, 1, 1, 1), 309_843 + 2 * (16 + 32 * 2 + 64 * 4) + 3 * 98),
        ("mga_resnet18", 16, (1, 1, 1, 1), 309_843 + 2 * (16 + 32 * 2 + 64 * 4) + 3 * 98),
    ],
)
def test_narrow_networks(name: str, width: int, depths: tuple[int, ...], count: int) -> None:
    assert counted(name, width=width, depths=depths) == count


def test_one_input_channel_saves_two_stem_channels() -> None:
    assert counted("resnet18", channels=1) == RESNET18 - 2 * 49 * 64
