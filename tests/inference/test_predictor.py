"""`Predictor`: the result of a slice does not depend on the other slices of its batch."""

import threading
from pathlib import Path

import numpy as np
import pytest
from drawn_runs import WHITE, bright_run, brightness_run

from mgajax.data import preparation
from mgajax.errors import ConfigError, DataError
from mgajax.imaging import body
from mgajax.inference import Prediction, Predictor, predictor, segmenter, spread


def drawn(n: int) -> list[np.ndarray]:
    """Grey bodies on black with a white lesion, of several sizes."""
    random = np.random.default_rng(5)
    slices = []
    for place in range(n):
        image = np.zeros((90 + 7 * (place % 3), 110 - 5 * (place % 4)), np.uint8)
        image[10:80, 12:85] = random.integers(60, 120, (70, 73))
        image[30:45, 20 + place : 40 + place] = WHITE
        slices.append(image)
    return slices


def same(first: Prediction, other: Prediction) -> None:
    for name in ("probabilities", "members", "attention", "lesion"):
        np.testing.assert_allclose(getattr(first, name), getattr(other, name), atol=1e-6)


def test_a_classifier_and_a_segmenter_at_the_slices_own_pixels() -> None:
    slices = drawn(5)
    results = Predictor(brightness_run(image_size=64), bright_run(image_size=128))(slices)
    for image, prediction in zip(slices, results, strict=True):
        assert prediction.probabilities.shape == (3,)
        assert prediction.probabilities.sum() == pytest.approx(1.0)
        assert prediction.members.shape == (1, 3)
        assert prediction.attention.shape == prediction.lesion.shape == image.shape
        truth, lesion = image == WHITE, prediction.lesion >= 0.5
        assert (truth & lesion).sum() / (truth | lesion).sum() > 0.85
        assert prediction.attention[truth].mean() > prediction.attention[~truth].mean()


def test_networks_of_any_size_share_the_body_of_a_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    slices, looked = drawn(3), []
    find = body.foreground

    def counted(image: np.ndarray, *, minimum: float) -> np.ndarray | None:
        looked.append(image.shape)
        return find(image, minimum=minimum)

    for module in (predictor, segmenter, preparation):
        monkeypatch.setattr(module, "foreground", counted)
    results = Predictor(brightness_run(image_size=64), bright_run(image_size=128))(slices)
    assert sorted(looked) == sorted(image.shape for image in slices)
    for image, prediction in zip(slices, results, strict=True):
        np.testing.assert_array_equal(prediction.body, find(image))


def test_neighbours_and_filling_change_nothing() -> None:
    """Three slices fill a bucket of four with black, a fourth is real; alone they fill a one."""
    slices = drawn(4)
    predictor = Predictor(brightness_run(), bright_run(), buckets=(1, 4), variations=3)
    together = predictor(slices)
    for place, prediction in enumerate(predictor(slices[:3])):
        same(prediction, together[place])
        same(predictor([slices[place]])[0], together[place])


def test_buckets_are_compiled_once_and_threads_may_share_them() -> None:
    slices = drawn(11)
    predictor = Predictor(brightness_run(), buckets=(2, 8))
    classify = predictor.classifiers[0].apply
    alone = [predictor([image])[0] for image in slices]
    by_number: dict[int, tuple[Prediction, ...]] = {}

    def work(number: int) -> None:
        by_number[number] = predictor(slices[: 3 + number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert classify.compiled == (2, 8)
    assert len(by_number) == 8
    for number, results in by_number.items():
        assert len(results) == 3 + number
        for prediction, other in zip(results, alone, strict=False):
            np.testing.assert_allclose(prediction.probabilities, other.probabilities, atol=1e-6)


def test_an_ensemble_is_the_mean_of_its_members() -> None:
    slices = drawn(3)
    runs = [brightness_run(level=level) for level in (-1.0, 0.0, 2.0)]
    alone = [Predictor(run)(slices) for run in runs]
    for place, prediction in enumerate(Predictor(*runs)(slices)):
        members = np.stack([results[place].probabilities for results in alone])
        np.testing.assert_allclose(prediction.members, members, atol=1e-6)
        np.testing.assert_allclose(prediction.probabilities, members.mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(prediction.attention, alone[0][place].attention, atol=1e-6)
        low, high = spread(prediction.members)
        assert (low < prediction.probabilities).all()
        assert (prediction.probabilities < high).all()


def test_variations_begin_with_the_slice_as_it_is_and_are_the_same_for_all() -> None:
    image = drawn(1)[0]
    varied = Predictor(brightness_run(), variations=6)([image, image])
    plain = Predictor(brightness_run())([image])[0]
    assert varied[0].members.shape == (6, 3)
    assert len(np.unique(varied[0].members[:, 1])) == 6
    np.testing.assert_array_equal(varied[0].members, varied[1].members)
    np.testing.assert_allclose(varied[0].members[0], plain.probabilities, atol=1e-6)
    assert spread(plain.members) is None


def test_a_segmenter_alone_has_no_probabilities() -> None:
    (prediction,) = Predictor(bright_run())(drawn(1))
    assert prediction.probabilities is None
    assert prediction.members is None
    assert prediction.attention is None
    assert prediction.lesion is not None


def test_runs_on_disk_are_loaded(trained: Path, trained_segmenter: Path) -> None:
    predictor = Predictor(str(trained), trained_segmenter, buckets=(4,))
    results = predictor(np.stack([image[:90, :95] for image in drawn(2)])[..., None])
    assert [prediction.lesion.shape for prediction in results] == [(90, 95)] * 2
    assert all(
        prediction.attention.min() >= 0 and prediction.attention.max() <= 1
        for prediction in results
    )
    assert predictor(()) == ()


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.float32), np.zeros((4, 4, 3), np.uint8), np.zeros(4, np.uint8)]
)
def test_other_arrays_are_refused(image: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"images\[1\]: .*expected uint8 \[h, w\]"):
        Predictor(bright_run())([np.zeros((4, 4), np.uint8), image])


def test_other_runs_are_refused() -> None:
    with pytest.raises(ConfigError, match="runs of unet, unet: expected"):
        Predictor(bright_run(), bright_run())
    with pytest.raises(ConfigError, match="runs of nothing"):
        Predictor()
    with pytest.raises(ConfigError, match="variations=0"):
        Predictor(bright_run(), variations=0)
    with pytest.raises(ConfigError, match=r"batch sizes \(0, 2\)"):
        Predictor(bright_run(), buckets=(0, 2))
