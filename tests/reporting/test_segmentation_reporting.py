"""Table, Table 3 and figures of segmenters, on drawn ellipses."""

import hashlib

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from mgajax.evaluation import collect_counts, count_slice, metrics_from_counts
from mgajax.paper import TABLE3
from mgajax.reporting.figures import style
from mgajax.reporting.figures.evaluation_figures import SEGMENTATION_TITLES, training_curves
from mgajax.reporting.figures.segmentation_figures import (
    model_comparison_figure,
    slice_dice_figure,
)
from mgajax.reporting.figures.segmentation_panels import segmentation_panel
from mgajax.reporting.tables.metrics_tables import segmentation_table
from mgajax.reporting.tables.table3 import table3_markdown

PATIENTS = ["a", "b", "c", "d", "e", "f"]
SOURCES = ["jun", "jun", "morozov", "morozov", "morozov", "morozov"]


def _ellipse(shape, centre, radii):
    rows, columns = np.indices(shape)
    return ((rows - centre[0]) / radii[0]) ** 2 + ((columns - centre[1]) / radii[1]) ** 2 <= 1


def _slices():
    """Six frames of unequal sizes with an ellipse of lesion each, but in the last."""
    rng = np.random.default_rng(0)
    shapes = [(40, 40), (40, 60), (60, 40), (48, 48), (40, 40), (40, 40)]
    images = [rng.integers(60, 160, size=shape).astype(np.uint8) for shape in shapes]
    truths = [_ellipse(shape, (20, 20), (8, 9 + k)) for k, shape in enumerate(shapes)]
    truths[-1] = np.zeros(shapes[-1], bool)
    return images, truths


def _model(truths, shift):
    return [np.roll(truth, shift, axis=1) for truth in truths]


def _counts(predictions, truths):
    return collect_counts(map(count_slice, predictions, truths))


@pytest.fixture(scope="module")
def results():
    _, truths = _slices()
    return {
        name: {
            "model": name,
            "split": "test",
            **metrics_from_counts(
                _counts(_model(truths, shift), truths), PATIENTS, sources=SOURCES, bootstrap=50
            ),
        }
        for name, shift in (("hmsanet", 1), ("deeplabv3_resnet50", 2), ("my own", 5))
    }


def test_table_has_values_and_intervals(results):
    metrics = results["hmsanet"]
    lines = segmentation_table(metrics).splitlines()
    head = "hmsanet, test split: 6 slices of 6 patients [95% intervals over patients]"
    assert lines[0] == head
    span = metrics["intervals"]["pooled"]["precision"]
    cell = f"{metrics['pooled']['precision']:.3f} [{span['low']:.3f}, {span['high']:.3f}]"
    row = next(line for line in lines if line.strip().startswith("precision"))
    assert row.split(maxsplit=1)[1] == cell
    assert "  mean over the 5 slices with a lesion" in lines
    assert any(line.split()[:2] == ["HD95,", "px"] for line in lines)
    assert any(line.split() == ["lesion", "in", "neither", "1"] for line in lines)
    assert all(len(line) < 100 and line == line.rstrip() for line in lines)


def test_table_where_all_slices_have_a_lesion_and_none_is_predicted():
    truth = _ellipse((20, 20), (9, 9), (4, 4))
    table = segmentation_table(metrics_from_counts(_counts([truth & False], [truth]), bootstrap=0))
    assert "slices with a lesion" not in table
    rows = [line.split() for line in table.splitlines()]
    assert ["precision", "–"] in rows
    assert ["in", "the", "mask", "alone", "1"] in rows
    assert "[" not in table


def test_table3_has_each_model_and_the_paper_below_it(results):
    lines = table3_markdown(results).splitlines()
    names = [line.split("|")[1].strip() for line in lines[2:7]]
    assert names == [
        "HMSANet",
        "*HMSANet in the paper*",
        "DeepLabV3 (ResNet50)",
        "*DeepLabV3 in the paper*",
        "my own",
    ]
    assert len({line.count("|") for line in lines[:7]}) == 1
    assert "| 74.63 | 85.47 | 84.03 | 86.96 |" in lines[3]
    measured, span = results["hmsanet"]["pooled"], results["hmsanet"]["intervals"]["pooled"]["iou"]
    cell = f"{100 * measured['iou']:.1f} [{100 * span['low']:.1f}, {100 * span['high']:.1f}]"
    assert lines[2].split("|")[2].strip() == cell
    assert f"| {results['hmsanet']['per_image']['hausdorff95']:.1f} |" in lines[2]
    assert "6 slices of 6 patients" in lines[-1]
    assert "probably exchanged" in lines[-1]
    assert "exchanged" not in table3_markdown({"my own": results["my own"]})


def test_the_papers_rows_are_each_one_confusion():
    """Dice and IoU follow from precision and recall in every row, whichever of the two is which."""
    for name, row in TABLE3.items():
        p, r, iou = (row[key] / 100 for key in ("precision", "recall", "iou"))
        assert 2 * p * r / (p + r) == pytest.approx(row["dice"] / 100, abs=1.5e-4), name
        assert 2 * iou / (1 + iou) == pytest.approx(row["dice"] / 100, abs=1.5e-4), name


def _draw(name, results, path):
    images, truths = _slices()
    models = {"HMSANet": _model(truths, 1), "U-Net": _model(truths, 3)}
    dice = {
        name: _counts(predictions, truths).scores()["dice"] for name, predictions in models.items()
    }
    metrics = results["hmsanet"]
    makers = {
        "panel": lambda: segmentation_panel(
            images, truths, models, dice=dice, path=path, captions=SOURCES
        ),
        "panel of one": lambda: segmentation_panel(
            images[:1], truths[:1], {"U-Net": models["U-Net"][:1]}, dice=dice, path=path
        ),
        "comparison": lambda: model_comparison_figure(results, path=path),
        "dice": lambda: slice_dice_figure(
            dice["HMSANet"], sources=SOURCES, metrics=metrics, path=path
        ),
    }
    return makers[name]()


@pytest.mark.parametrize("name", ["panel", "panel of one", "comparison", "dice"])
def test_figure_is_written_readable_and_the_same_each_time(name, results, tmp_path):
    before = dict(matplotlib.rcParams)
    first = _draw(name, results, tmp_path / "new" / "first.png")
    second = _draw(name, results, tmp_path / "second.png")
    assert dict(matplotlib.rcParams) == before
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (first, second)]
    assert digests[0] == digests[1]
    with Image.open(first) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    ink = (pixels < 250).any(axis=2)
    border = np.r_[ink[0], ink[-1], ink[:, 0], ink[:, -1]]
    assert 0.01 < ink.mean() < 0.95
    assert border.mean() < 0.05, "something runs over the edge"


def test_panel_colours_hits_misses_and_false_alarms(tmp_path, watched_figures):
    truth, predicted = np.zeros((2, 8, 8), bool)
    truth[2:4] = True
    predicted[3:5] = True
    segmentation_panel(
        [np.zeros((8, 8), np.uint8)],
        [truth],
        {"U-Net": [predicted]},
        dice={"U-Net": [0.5]},
        path=tmp_path / "panel.png",
    )
    axes = watched_figures[0].axes[2]
    overlay = np.asarray(axes.images[1].get_array())
    for row, colour in ((2, style.MISSED), (3, style.FOUND), (4, style.SURPLUS)):
        np.testing.assert_allclose(overlay[row, 0, :3], to_rgb(colour))
    assert not overlay[[0, 1, 5, 6, 7], :, 3].any()
    assert axes.get_title() == "U-Net"
    assert axes.get_xlabel() == "Dice 0.50"


def test_comparison_draws_value_interval_and_the_papers_number(results, tmp_path, watched_figures):
    model_comparison_figure(results, path=tmp_path / "comparison.png")
    figure = watched_figures[0]
    dice = next(axes for axes in figure.axes if axes.get_title(loc="left") == "Dice, %")
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == [
        "HMSANet",
        "DeepLabV3 (ResNet50)",
        "my own",
    ]
    segments = {tuple(np.round(line.get_xdata(), 6)) for line in dice.lines}
    for name, metrics in results.items():
        span = metrics["intervals"]["pooled"]["dice"]
        assert (round(100 * metrics["pooled"]["dice"], 6),) in segments, name
        assert (round(100 * span["low"], 6), round(100 * span["high"], 6)) in segments, name
    assert {(85.47,), (82.64,)} <= segments
    assert len(dice.lines) == 8


def test_segmenter_s_curves_have_their_own_titles(tmp_path, watched_figures):
    rows = [
        {"step": 1, "train/loss": 1.0, "train/cross_entropy": 1.0, "train/auxiliary": 2.0},
        {"step": 1, "validation/cross_entropy": 0.9, "validation/dice": 0.4},
    ]
    training_curves(rows, path=tmp_path / "curves.png", titles=SEGMENTATION_TITLES)
    assert [axes.get_title(loc="left") for axes in watched_figures[0].axes] == [
        "Cross-entropy of pixels",
        "Auxiliary loss",
        "Weighted total",
        "Dice, pooled, as prepared",
    ]


@pytest.fixture
def watched_figures(monkeypatch) -> list:
    """Collects the figures that are made, to look at what is on them."""
    figures: list = []

    class WatchedFigure(style.Figure):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            figures.append(self)

    monkeypatch.setattr(style, "Figure", WatchedFigure)
    return figures
