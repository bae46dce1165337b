import pytest

from mgajax import config as configs
from mgajax.errors import ConfigError
from mgajax.experiments.tune_space import overrides, read_space

FILE = "configs/tuning/mga_resnet18.py"


def load(*words: str):
    return configs.load(FILE, overrides=words)


@pytest.mark.parametrize("name", ["mga_resnet18", "mga_resnet18_phantom"])
def test_the_shipped_spaces_hold_their_own_default(name: str) -> None:
    config = configs.load(f"configs/tuning/{name}.py")
    space, flat = read_space(config), configs.flatten(config)
    assert space.holds({dimension.key: flat[dimension.key] for dimension in space.dimensions})


def test_places_and_points_agree_on_both_scales() -> None:
    space = read_space(load())
    ends = [space.point([end] * len(space.dimensions)) for end in (0.0, 1.0)]
    assert ends[0]["optimiser.learning_rate"] == pytest.approx(1e-5)
    assert ends[1]["optimiser.learning_rate"] == pytest.approx(1e-2)
    middle = space.point([0.5] * len(space.dimensions))
    assert middle["optimiser.learning_rate"] == pytest.approx(10**-3.5, rel=1e-3), "logarithmic"
    assert middle["augmentation.rotation_degrees"] == 15.0, "linear"
    assert middle["batch_size"] == 32
    assert isinstance(middle["batch_size"], int)
    assert space.places(middle) == pytest.approx([0.5] * len(space.dimensions), abs=1e-3)


def test_a_point_is_set_exactly_as_it_is_printed() -> None:
    point = read_space(load()).point([0.123456] * 6)
    flat = configs.flatten(load(*overrides(point)))
    assert {key: flat[key] for key in point} == point


def override(key: str, value: str) -> str:
    return f"--config.search.space.{key}={value}"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([override("batch_size", "(64, 16, 'log')")], "expected lowest < highest"),
        ([override("augmentation.gamma", "(0.0, 0.5, 'log')")], "above 0 for 'log'"),
        ([override("augmentation.gamma", "(0.0, 0.5, 'cubic')")], "'linear' or 'log'"),
    ],
)
def test_a_range_that_cannot_be_searched_is_refused(words, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        read_space(load(*words))


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        ({"learning_rate": (0.1, 1.0, "log")}, "no such key; did you mean"),
        ({"split": {"fraction": (0.1, 0.9, "linear")}}, "the same slices"),
        ({"optimiser": {"name": (0.1, 0.9, "linear")}}, "only numbers"),
        ({}, "what to search"),
    ],
)
def test_a_key_that_cannot_be_searched_is_refused(space: dict, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        read_space(configs.add_search(configs.classification("mga_resnet18"), space))
