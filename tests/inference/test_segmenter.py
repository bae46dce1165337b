"""The stream: every picture once, in order, at its own pixels, on any number of devices."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from drawn_runs import WHITE, bright_run, flipped, pixels

from mgajax.data.table import iter_encoded, read_table
from mgajax.errors import ConfigError
from mgajax.inference.segmenter import LesionMap, StoredSlice, UnreadableSlice, make_segmenter
from mgajax.training.trained import load_trained


@pytest.fixture(scope="module")
def pictures(slices: Path) -> list[StoredSlice]:
    table = read_table(slices)
    return [StoredSlice(row, data, str(table.flags[row])) for row, data, _ in iter_encoded(slices)]


def overlap(predicted: np.ndarray, true: np.ndarray) -> float:
    union = (predicted | true).sum()
    return (predicted & true).sum() / union if union else 1.0


@pytest.mark.parametrize("aspect", ["keep", "stretch"])
def test_lesions_come_back_where_they_are(pictures: list[StoredSlice], aspect: str) -> None:
    """Of all sizes, shapes and orientations; the batch size divides nothing."""
    segmenter = make_segmenter(bright_run(batch_size=10, aspect=aspect))
    maps = list(segmenter.stream(pictures))
    assert [lesion_map.prepared.row for lesion_map in maps] == [picture.row for picture in pictures]
    shapes = set()
    for lesion_map, picture in zip(maps, pictures, strict=True):
        lesion = pixels(picture.data) == WHITE
        restored = lesion_map.restore()
        assert restored.shape == lesion.shape
        assert overlap(restored >= 0.5, lesion) > 0.8  # some lesions are ten pixels wide
        shapes.add(lesion.shape)
    assert len(shapes) > 5


def test_a_turned_slice_is_turned_back(pictures: list[StoredSlice]) -> None:
    """The network sees the slice upright; the mask fits the stored picture."""
    turned = [picture for picture in pictures if picture.flags == "upside_down"]
    upright, stored = (make_segmenter(bright_run(orientation=way)) for way in ("upright", "stored"))
    pairs = zip(upright.stream(turned), stored.stream(turned), strict=True)
    for first, other in pairs:
        shown, unturned = (p.prepared.image.astype(int) for p in (first, other))
        assert np.abs(shown - unturned[::-1]).mean() < 0.5 * np.abs(shown - unturned).mean()
        assert overlap(first.restore() >= 0.5, other.restore() >= 0.5) > 0.8


@pytest.mark.parametrize("parallel", ["pmap", "shard_map", "jit"])
def test_any_number_of_devices_says_the_same(pictures: list[StoredSlice], parallel: str) -> None:
    single, eight = (
        list(
            make_segmenter(bright_run(devices=devices, parallel=way, batch_size=3)).stream(pictures)
        )
        for devices, way in ((1, "pmap"), (8, parallel))
    )
    for first, other in zip(single, eight, strict=True):
        np.testing.assert_allclose(first.lesion, other.lesion, atol=1e-6)


def test_unreadable_pictures_are_reported_in_their_place(pictures: list[StoredSlice]) -> None:
    damaged = {0, 5, 6, 7, len(pictures) - 1}
    stored = [
        StoredSlice(p.row, flipped(p.data) if p.row in damaged else p.data, p.flags)
        for p in pictures
    ]
    segmenter = make_segmenter(bright_run(batch_size=2))
    results = list(segmenter.stream(stored))
    whole = dict(enumerate(segmenter.stream(pictures)))
    assert {
        row for row, result in enumerate(results) if isinstance(result, UnreadableSlice)
    } == damaged
    for row, result in enumerate(results):
        if isinstance(result, UnreadableSlice):
            assert result.row == row
            assert result.reason
        else:
            np.testing.assert_array_equal(result.lesion, whole[row].lesion)


def test_nothing_in_nothing_out() -> None:
    assert list(make_segmenter(bright_run()).stream([])) == []


def test_stop_finishes_started_batches(pictures: list[StoredSlice]) -> None:
    results: list[LesionMap | UnreadableSlice] = []
    segmenter = make_segmenter(bright_run(devices=1, batch_size=2))
    for result in segmenter.stream(pictures, stop=lambda: results):
        results.append(result)
    # Two batches were begun before the first picture came out; the third one was not.
    assert [result.prepared.row for result in results] == [0, 1, 2, 3]


def test_pictures_are_not_read_far_ahead(pictures: list[StoredSlice]) -> None:
    """A data set larger than memory can be streamed."""
    read: list[int] = []

    def endless() -> Iterator[StoredSlice]:
        while True:
            read.append(len(read))
            yield pictures[0]

    stream = make_segmenter(bright_run(devices=1, batch_size=1)).stream(endless())
    next(stream)
    stream.close()
    count = len(read)
    assert count < 1000
    assert len(read) == count


def test_a_classifier_does_not_segment() -> None:
    run = bright_run()
    run.config.model.name = "resnet18"
    with pytest.raises(ConfigError, match=r"model.name='resnet18', which does not segment"):
        make_segmenter(run)


def test_one_scale_networks_refuse_others() -> None:
    assert make_segmenter(bright_run()).scales == (1.0,)
    assert make_segmenter(bright_run(), scales=(1.0,)).scales == (1.0,)
    with pytest.raises(ConfigError, match=r"--scales 0.5,1.0: unet sees one scale"):
        make_segmenter(bright_run(), scales=(0.5, 1.0))


def test_hmsanet_takes_scales(trained_segmenter: Path) -> None:
    run = load_trained(trained_segmenter)
    assert make_segmenter(run).model is run.model
    assert make_segmenter(run).scales == (0.5, 1.0)
    assert make_segmenter(run, scales=(2.0, 1.0, 0.5)).scales == (0.5, 1.0, 2.0)
    with pytest.raises(ConfigError, match=r"1.0 among them"):
        make_segmenter(run, scales=(0.5,))
