"""Lungs of grey pictures: against drawn chests whose lungs are known."""

import numpy as np
import pytest
from drawn_slices import draw

from mgajax.imaging.lungs import lung_field


def dice(first: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (first & other).sum() / (first.sum() + other.sum()))


@pytest.mark.parametrize("rendering", ["plain", "table", "white_page", "padding_circle", "text"])
def test_lungs_are_found_in_every_rendering(rendering: str) -> None:
    drawn = draw(rendering=rendering)
    lungs = lung_field(drawn["image"]) | (drawn["mask"] > 0)
    assert dice(lungs, drawn["lungs"]) > 0.98


def test_vessels_belong_to_the_lung_and_a_heart_between_does_not() -> None:
    drawn = draw()
    image, inside = drawn["image"].copy(), drawn["lungs"]
    vessels = np.zeros_like(inside)
    vessels[100:102] = True
    image[vessels & inside] = 150
    bridge = np.s_[[100, 140], 90:170]  # lungs that touch before and behind the heart
    for row in (92, 150):
        image[row - 2 : row + 3, 90:170] = 40
    lungs = lung_field(image)
    assert lungs[vessels & inside].mean() > 0.9
    assert lungs[bridge[0][0] + 15 : 138, 124:132].mean() == 0.0
