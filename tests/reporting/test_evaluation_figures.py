import hashlib
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from mgajax.evaluation import classification_metrics
from mgajax.reporting.figures import evaluation_figures as figures
from mgajax.reporting.figures import style
from mgajax.reporting.figures.map_panels import attention_panel
from mgajax.reporting.figures.style import CLASS_COLOURS, drawing


@pytest.fixture(scope="module")
def evaluated():
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    logits = rng.normal(size=(120, 3))
    logits[np.arange(120), labels] += 1.5
    odds = np.exp(logits)
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    patients = [f"zhao/{i // 6}-{i % 3}" for i in range(120)]
    metrics = classification_metrics(probabilities, labels, patients, bootstrap=20)
    return probabilities, labels, {"split": "test", **metrics}


def _slices(n=3, size=32):
    images = np.random.default_rng(0).integers(0, 255, size=(n, size, size)).astype(np.uint8)
    masks = np.zeros_like(images)
    masks[:-1, 8:16, 6:14] = 255
    attention = np.random.default_rng(1).uniform(size=(n, 4, 4)).astype(np.float32)
    return images, masks, attention


ROWS = [
    {"step": 1, "train/loss": 1.0, "train/cross_entropy": 1.1, "train/weight/attention": 0.5},
    {"step": 2, "train/loss": 0.5, "train/cross_entropy": 0.6, "train/weight/attention": 0.6},
    {"step": 2, "validation/cross_entropy": 0.7, "validation/accuracy": 0.5},
    {"step": 4, "validation/cross_entropy": 0.9, "validation/accuracy": 0.6},
]


def _draw(name, evaluated, path):
    probabilities, labels, metrics = evaluated
    images, masks, attention = _slices()
    classes = np.arange(3)
    makers = {
        "roc": lambda: figures.roc_figure(probabilities, labels, metrics=metrics, path=path),
        "confusion": lambda: figures.confusion_figure(metrics, path=path),
        "calibration": lambda: figures.calibration_figure(metrics, path=path),
        "training": lambda: figures.training_curves(ROWS, path=path),
        "attention": lambda: attention_panel(
            images, masks, attention, labels=classes, probabilities=probabilities[:3], path=path
        ),
    }
    return makers[name]()


NAMES = ("roc", "confusion", "calibration", "training", "attention")


@pytest.fixture(scope="module")
def drawn(evaluated, tmp_path_factory) -> dict[str, tuple[Path, Figure]]:
    """Each figure, drawn once: its file, and what is on it."""
    top, by_name = tmp_path_factory.mktemp("figures"), {}
    with pytest.MonkeyPatch.context() as patch:
        for name in NAMES:
            watched = _watch(patch)
            path = _draw(name, evaluated, top / name / "folder" / "first.png")
            by_name[name] = (path, watched[0])
    return by_name


@pytest.mark.parametrize("name", NAMES)
def test_figure_is_written_readable_and_the_same_each_time(name, evaluated, drawn, tmp_path):
    first, _ = drawn[name]
    matplotlib.rcParams["lines.linewidth"] = 9.0  # somebody's own settings must not matter
    before = dict(matplotlib.rcParams)
    try:
        second = _draw(name, evaluated, tmp_path / "second.png")
        assert dict(matplotlib.rcParams) == before, "nor change"
    finally:
        matplotlib.rcParams["lines.linewidth"] = matplotlib.rcParamsDefault["lines.linewidth"]
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (first, second)]
    assert digests[0] == digests[1]
    with Image.open(first) as picture:
        pixels = np.asarray(picture.convert("RGB"))
        assert "Software" not in picture.info
    assert 400 <= pixels.shape[1] <= 2400
    ink = (pixels < 250).any(axis=2)
    assert 0.01 < ink.mean() < 0.95
    border = np.r_[ink[0], ink[-1], ink[:, 0], ink[:, -1]]
    assert border.mean() < 0.05, "something runs over the edge"
    assert list(first.parent.iterdir()) == [first]


def test_roc_says_the_values_and_draws_each_class_in_its_colour(evaluated, drawn):
    _, _, metrics = evaluated
    axes = drawn["roc"][1].axes[0]
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    area = metrics["covid_vs_rest"]["roc_auc"]
    span = metrics["intervals"]["three_class"]["roc_auc"]["COVID-19"]
    label = f"COVID-19 vs rest   {area:.3f} [{span['low']:.3f}, {span['high']:.3f}]"
    assert label in words
    colours = {line.get_label().split(" vs")[0]: line.get_color() for line in axes.lines}
    for name, colour in CLASS_COLOURS.items():
        assert colours[name] == colour
    curve = next(line for line in axes.lines if line.get_label() == label)
    x, y = curve.get_data()
    assert np.trapezoid(y, x) == pytest.approx(area)
    dot = axes.lines[-1]
    assert dot.get_ydata()[0] == metrics["covid_vs_rest"]["recall"]
    assert dot.get_xdata()[0] == 1 - metrics["covid_vs_rest"]["specificity"]


def test_confusion_shows_each_count_and_share_of_its_row(evaluated, drawn):
    _, _, metrics = evaluated
    words = [text.get_text() for text in drawn["confusion"][1].axes[0].texts]
    counts = np.array(metrics["three_class"]["confusion_matrix"])
    for row in counts:
        for count in row:
            assert f"{count:,}" in words
            assert f"{count / row.sum():.1%}" in words


def test_training_curves_mark_the_best_checkpoint_and_skip_what_is_missing(
    drawn, tmp_path, monkeypatch
):
    watched = _watch(monkeypatch)
    figures.training_curves(ROWS, path=tmp_path / "a.png", checkpoint_step=2)
    titles = [axes.get_title(loc="left") for axes in watched[0].axes]
    assert titles == [
        "Cross-entropy (Eq. 5)",
        "Weighted total (Eq. 6)",
        "Weights of the losses",
        "Accuracy",
    ]
    assert "step 2" in watched[0].get_suptitle()
    lines = watched[0].axes[0].lines
    assert [line.get_label() for line in lines[:2]] == ["train", "validation"]
    assert lines[2].get_xdata() == [2, 2]
    assert drawn["training"][1].get_suptitle() == "Training"


def test_undefined_values_are_drawn_as_far_as_they_go(tmp_path):
    p, y = np.tile([0.2, 0.7, 0.1], (5, 1)), np.ones(5, np.int64)
    metrics = classification_metrics(p, y, bootstrap=0)
    assert figures.roc_figure(p, y, metrics=metrics, path=tmp_path / "r.png").exists()
    assert figures.confusion_figure(metrics, path=tmp_path / "c.png").exists()
    assert figures.calibration_figure(metrics, path=tmp_path / "k.png").exists()
    assert figures.training_curves([], path=tmp_path / "t.png").exists()


def test_flat_attention_and_full_mask_are_drawn(tmp_path):
    images, masks, attention = _slices(1)
    path = attention_panel(
        images,
        masks + np.uint8(255),
        attention * 0,
        labels=np.array([1]),
        probabilities=np.array([[0.1, 0.8, 0.1]]),
        path=tmp_path / "one.png",
    )
    assert path.exists()


def test_failed_drawing_leaves_the_old_file(tmp_path):
    path = tmp_path / "figure.png"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), drawing(path, width=2.0, height=2.0):
        raise ZeroDivisionError
    assert path.read_bytes() == b"old"


def _watch(monkeypatch) -> list:
    """Collects the figures that are made, to look at what is on them."""
    watched: list = []

    class WatchedFigure(Figure):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            watched.append(self)

    monkeypatch.setattr(style, "Figure", WatchedFigure)
    return watched
