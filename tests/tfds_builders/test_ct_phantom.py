"""Drawn slices: reproducible to the byte, exact masks, three diseases, seven sources, one dial."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mgajax.errors import ConfigError
from mgajax.schema import CLASS_NAMES, SOURCES
from tfds_builders.ct_phantom import (
    Patient,
    PhantomSettings,
    PhantomSlice,
    draw_patient,
    draw_slice,
    iter_patients,
    iter_slices,
)
from tfds_builders.ct_phantom.individual import LOOKS
from tfds_builders.ct_phantom.rendering import STYLES

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = PhantomSettings(patients=48, slices_per_patient=4, size=64, seed=11)


@pytest.fixture(scope="module")
def drawn() -> list[PhantomSlice]:
    return list(iter_slices(SETTINGS))


def digest(drawn: PhantomSlice) -> str:
    pictures = (drawn.image, drawn.lesion_mask, drawn.lung_mask)
    return hashlib.sha256(b"".join(picture.tobytes() for picture in pictures)).hexdigest()


def of_class(drawn: list[PhantomSlice], class_name: str) -> list[PhantomSlice]:
    return [slice_ for slice_ in drawn if slice_.patient.class_name == class_name]


def share_on_worse_side(slices: list[PhantomSlice]) -> float:
    """Share of the patient's lesion pixels in the lung that has more of them."""
    sides = np.zeros(2)
    for slice_ in slices:
        middle = slice_.image.shape[1] // 2
        sides += (
            (slice_.lesion_mask[:, :middle] > 0).sum(),
            (slice_.lesion_mask[:, middle:] > 0).sum(),
        )
    return sides.max() / sides.sum()


def cramers_v(labels: np.ndarray, sources: np.ndarray) -> float:
    """Association of two columns: 0 none, 1 one tells the other."""
    table = np.zeros((len(CLASS_NAMES), len(SOURCES)))
    np.add.at(table, (labels, sources), 1)
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / table.sum()
    terms = (table - expected) ** 2 / np.where(expected > 0, expected, 1)
    return float(np.sqrt(terms.sum() / table.sum() / (len(CLASS_NAMES) - 1)))


def test_a_slice_drawn_alone_is_the_same_to_the_byte(drawn):
    for number, index in ((0, 0), (17, 3), (46, 1)):
        patient = draw_patient(number, seed=SETTINGS.seed, slices=4)
        alone = draw_slice(patient, index=index, size=SETTINGS.size)
        assert digest(alone) == digest(drawn[4 * number + index])


def test_a_slice_is_the_same_in_another_process(drawn):
    program = (
        "import hashlib; from tfds_builders.ct_phantom import draw_patient, draw_slice\n"
        "one = draw_slice(draw_patient(5, seed=11, slices=4), index=2, size=64)\n"
        "print(hashlib.sha256(one.image.tobytes() + one.lesion_mask.tobytes()"
        " + one.lung_mask.tobytes()).hexdigest())"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == digest(drawn[4 * 5 + 2])


def test_seeds_patients_and_slices_differ(drawn):
    assert len({digest(slice_) for slice_ in drawn}) == len(drawn)
    other = draw_slice(draw_patient(0, seed=12, slices=4), index=0, size=64)
    assert digest(other) != digest(drawn[0])


def test_masks_are_binary_and_lesions_lie_in_the_lungs(drawn):
    for slice_ in drawn:
        assert slice_.image.shape == slice_.lesion_mask.shape == slice_.lung_mask.shape
        assert set(np.unique(slice_.lung_mask)) == {0, 255}
        assert set(np.unique(slice_.lesion_mask)) <= {0, 255}
        assert not ((slice_.lesion_mask > 0) & (slice_.lung_mask == 0)).any()


def test_only_the_ill_have_lesions_and_on_every_slice(drawn):
    for slice_ in drawn:
        assert (slice_.lesion_mask > 0).any() == (slice_.patient.class_name != "Normal"), (
            slice_.file_name
        )


def test_lesions_are_denser_than_the_lung_around_them(drawn):
    brighter = []
    for slice_ in drawn:
        lesion, lung = slice_.lesion_mask > 0, (slice_.lung_mask > 0) & (slice_.lesion_mask == 0)
        if lesion.sum() > 20 and lung.any():
            brighter.append(slice_.image[lesion].mean() - slice_.image[lung].mean())
    assert len(brighter) > 60
    assert np.mean(np.array(brighter) > 0) > 0.95


def test_covid_is_bilateral_and_cap_one_sided(drawn):
    def worse_sides(class_name: str) -> np.ndarray:
        slices = of_class(drawn, class_name)
        return np.array(
            [share_on_worse_side(slices[row : row + 4]) for row in range(0, len(slices), 4)]
        )

    covid, cap = worse_sides("COVID-19"), worse_sides("CAP")
    assert np.median(covid) < 0.8
    assert np.mean(covid < 1) > 0.9, "nearly every COVID-19 patient has lesions in both lungs"
    assert np.median(cap) > 0.97
    assert cap.min() > 0.5


def test_some_cap_patients_have_spots_on_the_other_side_and_effusions():
    cap = [p for p in iter_patients(PhantomSettings(patients=160)) if p.class_name == "CAP"]
    effusions = np.mean([p.disease.effusion is not None for p in cap])
    lobar = [p for p in cap if p.disease.lobe is not None]
    spotted = [p for p in lobar if any(f.side != p.disease.lobe.side for f in p.disease.spots)]
    assert 0.3 < effusions < 0.7
    assert 0.4 < len(lobar) / len(cap) < 0.85
    assert 0 < len(spotted) < len(lobar)


def test_patients_are_individuals_with_one_class_and_one_source():
    patients = list(iter_patients(PhantomSettings(patients=80)))
    assert len({p.key for p in patients}) == 80
    assert all(p.key == f"{p.source}/phantom_{p.number:04d}" for p in patients)
    assert len({p.anatomy.chest_width for p in patients}) == 80
    assert np.bincount([p.label for p in patients]).tolist() == [30, 30, 20]
    assert all(18 <= p.age <= 92 and p.gender in ("F", "M") for p in patients)


def test_levels_run_downwards_over_the_whole_chest():
    patients = list(iter_patients(PhantomSettings(patients=24, slices_per_patient=6)))
    for patient in patients:
        assert len(patient.levels) == 6
        assert all(0.1 <= level <= 0.95 for level in patient.levels)
    healthy = np.array([p.levels for p in patients if p.class_name == "Normal"])
    assert (np.diff(healthy, axis=1) > 0).all()
    assert healthy.min() < 0.3
    assert healthy.max() > 0.8


@pytest.mark.parametrize(("shortcut", "low", "high"), [(0, 0, 0.08), (0.5, 0.3, 0.7), (1, 1, 1)])
def test_shortcut_sets_how_far_the_source_tells_the_class(shortcut, low, high):
    patients = list(iter_patients(PhantomSettings(patients=168, shortcut=shortcut)))
    labels = np.array([p.label for p in patients])
    sources = np.array([SOURCES.index(p.source) for p in patients])
    assert low <= round(cramers_v(labels, sources), 9) <= high


def test_shortcut_changes_the_source_and_not_the_person():
    free = draw_patient(3, seed=0, shortcut=0.0)
    linked = draw_patient(3, seed=0, shortcut=1.0)
    assert free.disease == linked.disease
    assert free.levels == linked.levels
    assert linked.source == draw_patient(0, seed=0, shortcut=1.0).source  # both COVID-19


def from_source(source: str) -> Patient:
    return next(p for p in iter_patients(PhantomSettings(patients=56)) if p.source == source)


@pytest.mark.parametrize("source", SOURCES)
def test_each_source_renders_in_its_own_way(source):
    slice_ = draw_slice(from_source(source), index=4, size=96)
    style = STYLES[source]
    height, width = slice_.image.shape
    assert style.aspect[0] - 0.02 <= height / width <= style.aspect[1] + 0.02
    assert slice_.flags == (("upside_down",) if source in ("jun", "medseg") else ())
    if style.grey == "minmax":
        assert slice_.image.min() == 0
        assert slice_.image.max() == 255
    corner = slice_.image[0, 0]
    if source == "morozov":
        assert corner == 0, "padding is darker than air"
        assert slice_.image[5, width // 2] > 30


@pytest.mark.parametrize("source", ["jun", "afshar"])
def test_the_back_is_where_the_flag_says(source):
    """The spine is behind the lungs, so the middle pixels at their back are bone."""
    slice_ = draw_slice(from_source(source), index=4, size=96)
    rows = np.flatnonzero((slice_.lung_mask > 0).any(axis=1))
    middle = slice(slice_.image.shape[1] // 2 - 8, slice_.image.shape[1] // 2 + 8)
    depth = max(2, (rows[-1] - rows[0]) // 5)
    upper = slice_.image[rows[0] : rows[0] + depth, middle].mean()
    lower = slice_.image[rows[-1] - depth : rows[-1], middle].mean()
    assert (upper > lower) == ("upside_down" in slice_.flags)


def covid_of(source: str, *, look: str) -> list[PhantomSlice]:
    """The middle slices of five COVID-19 patients of the source."""
    patients = iter_patients(PhantomSettings(patients=160, slices_per_patient=3, look=look))
    chosen = [p for p in patients if p.source == source and p.class_name == "COVID-19"][:5]
    return [draw_slice(patient, index=1, size=96) for patient in chosen]


def lesion_grey(slices: list[PhantomSlice]) -> float:
    """The mean grey of lesions, of the range from air to the whitest pixel of each slice."""
    return float(np.mean([s.image[s.lesion_mask > 0].mean() / s.image.max() for s in slices]))


@pytest.mark.parametrize("source", ["jun", "morozov"])
def test_the_archive_look_has_small_faint_lesions_in_slices_of_scans(source):
    textbook, archive = (covid_of(source, look=look) for look in LOOKS)
    areas = [sum((s.lesion_mask > 0).mean() for s in slices) for slices in (textbook, archive)]
    assert 0 < areas[1] < 0.6 * areas[0]
    assert lesion_grey(archive) < lesion_grey(textbook) - 0.03
    for one, other in zip(textbook, archive, strict=True):
        assert one.patient.anatomy == other.patient.anatomy
        assert one.patient.confounders == other.patient.confounders


def test_figures_and_healthy_people_are_the_same_under_both_looks():
    for source, label in (("medseg", 1), ("rahimzadeh", 0), ("zhao", 2)):
        one, other = (
            next(
                patient
                for patient in iter_patients(PhantomSettings(patients=160, look=look))
                if patient.source == source and patient.label == label
            )
            for look in LOOKS
        )
        assert one.disease == other.disease
        drawn = [draw_slice(patient, index=3, size=64).image for patient in (one, other)]
        np.testing.assert_array_equal(*drawn)


@pytest.mark.parametrize(
    ("dial", "value"),
    [
        ("look", "archives"),
        ("patients", 0),
        ("slices_per_patient", 0),
        ("size", 8),
        ("shortcut", 1.5),
    ],
)
def test_an_impossible_dial_is_refused_by_name(dial, value):
    with pytest.raises(ConfigError, match=f"{dial}={value}"):
        PhantomSettings(**{dial: value})


def test_drawing_needs_no_tfds():
    program = (
        "import sys; sys.modules['tensorflow_datasets'] = None\n"
        "from tfds_builders.ct_phantom import PhantomSettings, iter_slices\n"
        "print(sum(1 for _ in iter_slices(PhantomSettings(patients=1, size=48))))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["8"]
