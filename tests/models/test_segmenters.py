"""Segmenters by name: sizes and types of what they return, and errors that say what is valid."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from mgajax import models
from mgajax.errors import ConfigError

BASELINES = ("unet", "segnet", "deeplabv3_resnet50", "deeplabv3_resnet101")
SHALLOW = (1, 1, 1, 1)
"""Blocks of DeepLabV3's backbone where only the heads matter."""


def smaller(model: nn.Module, depths: tuple[int, ...] | None) -> nn.Module:
    return model if depths is None else model.clone(depths=depths)


def traced(
    name: str,
    *,
    size: tuple[int, int] = (64, 64),
    batch: int = 2,
    train: bool = False,
    random: bool = True,
    dtype: str = "float32",
    depths: tuple[int, ...] | None = None,
    **options,
):
    """Shapes of the output and of the new statistics, nothing computed."""
    model = smaller(models.create(name, num_classes=2, dtype=dtype, **options), depths)
    plain = smaller(models.create(name, num_classes=2, **options), depths)
    variables = models.variable_shapes(plain, image_size=64, channels=1)
    images = jax.ShapeDtypeStruct((batch, *size, 1), jnp.float32)

    def forward(variables, images):
        rngs = {"dropout": jax.random.key(0)} if random else None
        return model.apply(variables, images, train=train, mutable=["batch_stats"], rngs=rngs)

    return jax.eval_shape(forward, variables, images)


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_outputs_are_float32_at_the_size_of_the_images(name: str, dtype: str) -> None:
    depths = SHALLOW if name.startswith("deeplabv3") else None
    out, new = traced(name, dtype=dtype, train=True, size=(65, 70), depths=depths)
    assert {leaf.dtype for leaf in jax.tree.leaves((out, new))} == {jnp.dtype("float32")}
    assert out.logits.shape == (2, 65, 70, 2)
    assert out.attention == {}
    auxiliary = {key: leaf.shape for key, leaf in out.auxiliary.items()}
    assert auxiliary == ({"fcn": (2, 65, 70, 2)} if name.startswith("deeplabv3") else {})


def test_bilinear_unet_in_bfloat16() -> None:
    out, _ = traced("unet", upsampling="bilinear", dtype="bfloat16", size=(16, 33), width=1)
    assert out.logits.shape == (2, 16, 33, 2)


def test_the_dilated_backbone_keeps_an_eighth() -> None:
    from mgajax.models.deeplabv3 import DilatedBackbone

    model = models.create("deeplabv3_resnet50", num_classes=2)
    backbone = DilatedBackbone(SHALLOW, model.layers)
    images = jnp.zeros((1, 128, 96, 1))
    initialise = jax.eval_shape(
        lambda: backbone.init_with_output(jax.random.key(0), images, train=False)
    )
    third, fourth = initialise[0]
    assert (third.shape, fourth.shape) == ((1, 16, 12, 1024), (1, 16, 12, 2048))


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("unett", {}, ["unett", "did you mean 'unet'", "segnet"]),
        ("unet", {"upsampling": "bilinaer"}, ["upsampling", "did you mean 'bilinear'"]),
        ("unet", {"auxiliary": "fcn"}, ["unet", "auxiliary", "upsampling"]),
        ("unet", {"width": 0}, ["width=0", "whole number, at least 1"]),
        ("segnet", {"width": -1}, ["width=-1", "whole number"]),
        ("deeplabv3_resnet50", {"width": 0}, ["width=0", "whole number"]),
        ("segnet", {"dtype": "float16"}, ["dtype", "float16", "bfloat16"]),
        ("deeplabv3_resnet50", {"auxiliary": "fnc"}, ["auxiliary='fnc'", "did you mean 'fcn'"]),
        ("deeplabv3_resnet101", {"dropout": 1.0}, ["dropout=1.0", "[0, 1)"]),
        ("deeplabv3_resnet50", {"auxiliary_dropout": -0.1}, ["auxiliary_dropout=-0.1"]),
    ],
)
def test_errors_name_key_value_and_what_is_valid(name: str, options: dict, words: list) -> None:
    with pytest.raises(ConfigError) as caught:
        models.create(name, num_classes=2, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(("name", "size"), [("unet", (15, 64)), ("segnet", (64, 31))])
def test_images_too_small_to_pool(name: str, size: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match=f"{name}: images of {size[0]}×{size[1]}.*at least"):
        traced(name, size=size)


def test_dropout_asks_for_random_numbers() -> None:
    with pytest.raises(ConfigError, match="rngs="):
        traced("deeplabv3_resnet50", depths=SHALLOW, train=True, random=False)
    undropped = {"dropout": 0.0, "auxiliary_dropout": 0.0}
    traced("deeplabv3_resnet50", depths=SHALLOW, train=True, random=False, **undropped)
    traced("deeplabv3_resnet50", depths=SHALLOW, train=False, random=False)


def test_one_image_cannot_train_the_pooled_branch() -> None:
    with pytest.raises(ConfigError, match="classifier/pyramid/overall.*1 value per channel"):
        traced("deeplabv3_resnet50", depths=SHALLOW, train=True, batch=1)
