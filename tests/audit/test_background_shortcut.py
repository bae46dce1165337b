"""The shortcut check: finds one that is there, and none that is not."""

import numpy as np
import pytest

from mgajax.audit import background_shortcut
from mgajax.audit.background_shortcut import (
    FAMILIES,
    FEATURES,
    NONE,
    background_features,
    check_shortcut,
)


@pytest.fixture(autouse=True)
def all_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as users get."""
    monkeypatch.setattr(background_shortcut, "FOLDS", 5)


def picture() -> tuple[np.ndarray, np.ndarray]:
    """Air of 7, a body of 150."""
    body = np.zeros((20, 30), bool)
    body[5:15, 8:25] = True
    return np.where(body, 150, 7).astype(np.uint8), body


def named(values: np.ndarray) -> dict[str, float]:
    return dict(zip(FEATURES, values.tolist(), strict=True))


def test_the_body_is_not_looked_at() -> None:
    image, body = picture()
    other = np.where(body, np.arange(30, dtype=np.uint8), image)
    np.testing.assert_array_equal(
        background_features(image, body), background_features(other, body)
    )


def test_the_numbers_are_those_of_the_air() -> None:
    image, body = picture()
    image[0], image[-1, :15] = 0, 255
    statistics = named(background_features(image, body))
    air = image[~body]
    assert (statistics["height"], statistics["width"], statistics["aspect"]) == (20, 30, 1.5)
    assert (statistics["top edge mean"], statistics["top edge spread"]) == (0, 0)
    assert statistics["bottom edge mean"] == pytest.approx(image[-1].mean())
    assert statistics["background mean"] == pytest.approx(air.mean(), rel=1e-5)
    assert statistics["background spread"] == pytest.approx(air.std(), rel=1e-5)
    assert statistics["background median"] == np.median(air)
    assert statistics["share of white"] == pytest.approx((air == 255).mean())
    assert statistics["levels used"] == 3


def test_a_frame_full_of_body_has_no_background() -> None:
    statistics = background_features(picture()[0], None)
    assert (statistics[FAMILIES["grey levels outside the body"]] == NONE).all()


def features(rng: np.random.Generator, labels: np.ndarray, *, shift: float) -> np.ndarray:
    values = rng.normal(size=(len(labels), len(FEATURES))).astype(np.float32)
    values[:, FEATURES.index("share of black")] += shift * labels
    return values


@pytest.mark.parametrize(("shift", "above"), [(4.0, True), (0.0, False)])
def test_a_shortcut_is_distinguished_from_none(shift: float, above: bool) -> None:
    people = np.repeat(np.arange(60), 3).astype(np.int32)
    labels = (people % 3).astype(np.int32)
    shortcut = check_shortcut(
        features(np.random.default_rng(0), labels, shift=shift),
        labels=labels,
        sources=["jun"] * len(people),
        people=people,
    )
    assert shortcut.is_above_chance is above
    assert shortcut.background is not None
    assert shortcut.background.low <= shortcut.background.accuracy <= shortcut.background.high
    assert shortcut.source is not None
    assert shortcut.source.accuracy == pytest.approx(1 / 3), "one source tells nothing"
    grey = shortcut.families["grey levels outside the body"].accuracy
    assert (grey > 0.8) is above
    assert shortcut.families["size of the frame"].accuracy < 0.55


def test_a_persons_own_look_does_not_count() -> None:
    """Every person has a look of their own; only across people does it say nothing."""
    rng = np.random.default_rng(1)
    people = np.repeat(np.arange(30), 10).astype(np.int32)
    values = rng.normal(size=(30, len(FEATURES))).astype(np.float32)[people]
    labels = (people % 2).astype(np.int32)
    shortcut = check_shortcut(values, labels=labels, sources=["jun"] * 300, people=people)
    assert not shortcut.is_above_chance


def test_classes_of_one_person_are_left_out() -> None:
    people = np.array([0, 1, 2, 3, 4], np.int32)
    labels = np.array([0, 0, 1, 1, 2], np.int32)
    values = np.zeros((5, len(FEATURES)), np.float32)
    shortcut = check_shortcut(values, labels=labels, sources=["jun"] * 5, people=people)
    assert shortcut.classes == ("Normal", "COVID-19")
    assert shortcut.left_out == "CAP: fewer than two patients"
    alone = check_shortcut(values[:2], labels=labels[:2], sources=["jun"] * 2, people=people[:2])
    assert alone.background is None
    assert alone.to_json()["left_out"] == "only one class"
