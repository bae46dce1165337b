"""Making networks by name: options, and errors that say what is valid."""

import functools

import jax
import jax.numpy as jnp
import pytest

from mgajax import models
from mgajax.errors import ConfigError
from mgajax.models.registry import CLASSIFIERS

SIZE = 64
NARROW = {"width": 16}


@functools.cache
def traced(name: str, *, train: bool = False, dtype: str = "float32", **options):
    """Shapes of the output and of the new statistics of a network with one block a stage."""
    plain, model = (
        models.create(name, num_classes=3, dtype=kind, **options).clone(depths=(1, 1, 1, 1))
        for kind in ("float32", dtype)
    )
    variables = models.variable_shapes(plain, image_size=SIZE, channels=1)
    images = jax.ShapeDtypeStruct((2, SIZE, SIZE, 1), jnp.float32)

    def forward(variables, images):
        return model.apply(variables, images, train=train, mutable=["batch_stats"])

    return jax.eval_shape(forward, variables, images)


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_outputs_and_statistics_are_float32(name: str, dtype: str) -> None:
    out, new = traced(name, dtype=dtype, train=True)
    leaves = jax.tree.leaves((out, new))
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype("float32")}
    assert out.logits.shape == (2, 3)


def test_attention_maps_have_the_size_of_their_stage() -> None:
    out, _ = traced("resnet18_cbam", **NARROW)
    shapes = {name: leaf.shape for name, leaf in out.attention.items()}
    assert shapes == {"stage1": (2, 16, 16, 1), "stage2": (2, 8, 8, 1), "stage3": (2, 4, 4, 1)}
    assert out.guided is None


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_guided_map(stage: int) -> None:
    output = traced("mga_resnet18", mga_stage=stage, **NARROW)[0]
    assert (output.guided, output.lungs) == (f"stage{stage}", None)


def test_plain_networks_have_no_attention() -> None:
    out, _ = traced("densenet121", dtype="float32", train=True)
    assert out.attention == {}
    assert out.guided is None


def test_lists_from_a_config_serve_as_stages_and_depths() -> None:
    assert list(traced("resnet18_cbam", stages=(1,), **NARROW)[0].attention) == ["stage1"]
    listed = models.create("resnet18_cbam", num_classes=3, stages=[1], depths=[1, 2, 1, 1])
    assert listed == models.create("resnet18_cbam", num_classes=3, stages=(1,), depths=(1, 2, 1, 1))


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("resnet81", {}, ["resnet81", "did you mean 'resnet18'", "mga_resnet18"]),
        ("mga_resnet18", {"placment": "last_block"}, ["placment", "'placement'", "mga_stage"]),
        ("resnet18", {"flavour": "paper"}, ["resnet18", "flavour", "dtype"]),
        ("resnet18", {"dtype": "float16"}, ["dtype", "float16", "bfloat16"]),
        ("resnet18_cbam", {"flavour": "oficial"}, ["flavour", "did you mean 'official'"]),
        ("resnet18_cbam", {"placement": "first"}, ["placement", "every_block"]),
        ("resnet18_cbam", {"stages": ()}, ["stages"]),
        ("resnet18_cbam", {"stages": (0, 1)}, ["stages", "(0, 1)"]),
        ("resnet18_cbam", {"stages": (1, 1)}, ["stages", "(1, 1)"]),
        ("mga_resnet18", {"stages": (1,)}, ["mga_stage=3", "stages=(1,)"]),
        ("mga_resnet18", {"mga_stage": 5}, ["mga_stage=5"]),
        ("mga_resnet18", {"lung_stage": 4}, ["lung_stage=4", "stages=(1, 2, 3)"]),
        ("mga_resnet18", {"lung_stage": 3}, ["lung_stage=3", "mga_stage"]),
        ("resnet18", {"width": 0}, ["width=0", "whole number, at least 1"]),
        ("resnet18_cbam", {"width": 15}, ["width=15", "at least 16"]),
        ("mga_resnet18", {"width": 8}, ["width=8", "at least 16"]),
        ("resnet18", {"depths": (2, 2, 2)}, ["depths=(2, 2, 2):", "four positive", "(2, 2, 2, 2)"]),
        ("resnet18_cbam", {"depths": (2, 0, 2, 2)}, ["depths=(2, 0, 2, 2)", "four positive"]),
        ("mga_resnet18", {"depths": (1,) * 5}, ["depths=(1, 1, 1, 1, 1)", "whole numbers"]),
        ("resnet50", {"width": 16}, ["resnet50", "width", "dtype"]),
    ],
)
def test_errors_name_key_value_and_what_is_valid(name: str, options: dict, words: list) -> None:
    with pytest.raises(ConfigError) as caught:
        models.create(name, num_classes=3, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_the_least_widths() -> None:
    assert traced("resnet18", width=1)[0].logits.shape == (2, 3)
    assert traced("mga_resnet18", **NARROW)[0].attention["stage3"].shape == (2, 4, 4, 1)


def test_one_class_is_no_classifier() -> None:
    with pytest.raises(ConfigError, match="num_classes=1"):
        models.create("resnet18", num_classes=1)


def test_description_ends_with_the_totals() -> None:
    model = models.create("mga_resnet18", num_classes=3)
    text = models.describe(models.variable_shapes(model, image_size=SIZE, channels=3))
    assert text.splitlines()[-1].startswith("11,189,097 parameters, 9,600 running statistics")
    assert "stage3/block1/cbam/spatial/conv/kernel" in text
