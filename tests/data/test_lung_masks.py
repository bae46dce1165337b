"""Lungs by rule: against drawn chests whose lungs are known, and outlines by people."""

from pathlib import Path

import numpy as np
import pytest
from drawn_slices import build
from PIL import Image

from mgajax.data import cache, lung_masks
from mgajax.data.cache import open_prepared_set
from mgajax.data.lung_masks import find_lung_masks
from mgajax.data.preparation import Preparation, PreparedSlice, prepare
from mgajax.errors import DataError
from tfds_builders.ct_phantom.slices import PhantomSettings, PhantomSlice, iter_slices

SHARED = Path(__file__).resolve().parents[3] / "shared" / "realdata" / "pack_dev"
REAL = SHARED / "extra" / "jun_clahe256"
SMALL = Preparation(image_size=64)


def dice(first: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (first & other).sum() / (first.sum() + other.sum()))


@pytest.fixture(scope="module")
def patients() -> list[PhantomSlice]:
    phantom = PhantomSettings(patients=21, slices_per_patient=1, size=192, severity=1.0)
    return list(iter_slices(phantom))


def lungs_of(prepared: PreparedSlice) -> np.ndarray:
    pairs = prepared.image[None, ..., None], prepared.mask[None, ..., None]
    return next(find_lung_masks(*pairs))[..., 0]


@pytest.mark.parametrize("side", [64, 224])
def test_drawn_patients_of_every_source(patients: list[PhantomSlice], side: int) -> None:
    settings = Preparation(image_size=side)
    scores = []
    for drawn in patients:
        prepared = prepare(drawn.image, drawn.lesion_mask, settings=settings)
        truth = prepare(drawn.image, drawn.lung_mask, settings=settings).mask > 127
        lungs = lungs_of(prepared)
        scores.append(dice(lungs > 127, truth))
    assert np.mean(scores) > 0.97
    assert min(scores) > 0.85


def test_nothing_is_known_of_a_slice_without_a_body() -> None:
    blank = np.zeros((1, 64, 64, 1), np.uint8)
    lesion = np.full_like(blank, 255)
    assert not next(find_lung_masks(blank, lesion)).any(), (
        "a lesion alone does not tell where the lungs end"
    )


@pytest.mark.skipif(not REAL.is_dir(), reason="real slices are not beside the project")
def test_real_slices_against_outlines_by_people() -> None:
    scores = []
    for path in sorted((REAL / "lung_masks").glob("*.png")):
        grey, outlined, lesion = (
            np.asarray(Image.open(REAL / part / path.name).convert("L"))
            for part in ("frames", "lung_masks", "masks")
        )
        masks = (np.where(mask > 0, np.uint8(255), np.uint8(0)) for mask in (lesion, outlined))
        ill, truth = (prepare(grey, mask, settings=Preparation()) for mask in masks)
        lungs = lungs_of(ill)
        scores.append(dice(lungs > 127, truth.mask > 127))
    assert len(scores) == 56
    # The worst are below the open lungs, where gas in the bowel is dark too; curation drops those.
    assert np.median(scores) > 0.95
    assert np.mean(np.array(scores) > 0.9) > 0.75


@pytest.fixture
def built(tmp_path: Path) -> Path:
    return build(tmp_path)


def test_lungs_are_found_once(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    rule = lung_masks.lung_field
    monkeypatch.setattr(lung_masks, "lung_field", lambda picture: calls.append(1) or rule(picture))
    assert open_prepared_set(built, settings=SMALL).lungs is None
    assert not calls
    first = open_prepared_set(built, settings=SMALL, lungs=True)
    count = len(first.table)
    assert len(calls) == count
    again = open_prepared_set(built, settings=SMALL, lungs=True)
    assert len(calls) == count
    assert again.lungs is not None
    np.testing.assert_array_equal(first.lungs, again.lungs)
    np.testing.assert_array_equal(again.lungs, [*find_lung_masks(first.images, first.masks)])
    assert (again.lungs.reshape(count, -1).max(1) == 255).all()


def test_damaged_lungs_are_found_again(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = np.array(open_prepared_set(built, settings=SMALL, lungs=True).lungs)
    (file,) = (built.parent / cache.CACHE_FOLDER).rglob("lungs.npy")
    file.write_bytes(file.read_bytes()[:-9])
    again = open_prepared_set(built, settings=SMALL, lungs=True).lungs
    np.testing.assert_array_equal(first, again)
    assert "wrong checksum" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_reported(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_prepared_set(built, settings=SMALL)

    def refuse(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(lung_masks.array_store, "replace_folder", refuse)
    with pytest.raises(DataError, match="No space left") as caught:
        open_prepared_set(built, settings=SMALL, lungs=True)
    assert "--config.data.cache_dir" in str(caught.value)
