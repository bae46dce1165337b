"""Masks of every coding: black and white, grey with blurred edges, class labels."""

import io

import numpy as np
import pytest
from PIL import Image

from mgajax.curation.mask_encoding import (
    binary_mask,
    fits_encoding,
    is_black_and_white,
    mask_encoding,
)
from mgajax.imaging.pictures import decode_mask


@pytest.mark.parametrize(
    ("largest", "encoding"),
    [
        ([], "binary"),
        ([0, 1], "binary"),
        ([1, 3], "labels"),
        ([1, 255], "grey"),
        ([3, 255], "grey"),
    ],
)
def test_mask_encoding(largest: list[int], encoding: str) -> None:
    assert mask_encoding(largest) == encoding


@pytest.mark.parametrize(
    ("values", "encoding", "source", "lesion"),
    [
        ([0, 1], "binary", "morozov", [0, 255]),
        ([0, 255], "grey", "jun", [0, 255]),
        ([0, 9, 127, 128, 250], "grey", "jun", [0, 0, 0, 255, 255]),
        ([0, 1], "grey", "jun", [0, 255]),
        ([0, 1, 2, 3], "labels", "medseg", [0, 255, 255, 255]),
        ([0, 1, 2, 3], "labels", "jun", [0, 0, 0, 255]),
        ([0, 1, 2, 3], "labels", "zhao", [0, 255, 255, 255]),
    ],
)
def test_binary_mask(values, encoding, source, lesion) -> None:
    mask = binary_mask(np.array([values], np.uint8), encoding=encoding, source=source)
    np.testing.assert_array_equal(mask, [lesion])
    assert mask.dtype == np.uint8


SQUARE = np.zeros((64, 64), np.uint8)
SQUARE[8:40, 8:40] = 255
SPECK = np.zeros((64, 64), np.uint8)
SPECK[8:11, 8:11] = 255
GRADIENT = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8) * 2
SHADES = np.where(SQUARE > 0, np.uint8(113), np.uint8(0))


def blurred(mask: np.ndarray) -> np.ndarray:
    """As a bilinear resize leaves it."""
    image = Image.fromarray(mask)
    return np.asarray(image.resize((40, 40), Image.Resampling.BILINEAR).resize((64, 64)))


def jpeg(mask: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, format="JPEG", quality=60)
    return decode_mask(buffer.getvalue(), name="x.jpg")


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (SQUARE, True),
        (SQUARE * 0, True),
        (blurred(SQUARE), True),
        (jpeg(SQUARE), True),
        (blurred(SPECK), True),
        (GRADIENT, False),
        (SHADES, False),
        (SQUARE // 2 + GRADIENT // 2, False),
    ],
)
def test_black_and_white_but_for_blurred_edges(mask: np.ndarray, expected: bool) -> None:
    histogram = np.bincount(mask.ravel(), minlength=256).astype(np.int64)
    assert is_black_and_white(histogram) is expected


@pytest.mark.parametrize(
    ("largest", "encoding", "source", "expected"),
    [
        (255, "grey", "jun", True),
        (1, "grey", "jun", True),
        (3, "grey", "jun", False),
        (3, "labels", "jun", True),
        (4, "labels", "jun", False),
        (4, "labels", "morozov", True),
        (1, "binary", "medseg", True),
    ],
)
def test_fits_encoding(largest: int, encoding, source: str, expected: bool) -> None:
    assert fits_encoding(largest, encoding=encoding, source=source) is expected
