import numpy as np
import pytest
from PIL import Image

from mgajax.reporting.figures.comparison_figures import (
    ComparisonRow,
    comparison_figure,
)
from mgajax.reporting.figures.experiment_figures import percent_label, tuning_figure
from mgajax.reporting.tables.number import Number, number, percent

REPORT = {
    "binary": {"f1": 0.5, "recall": None},
    "intervals": {"binary": {"f1": {"low": 0.25, "high": 0.75}, "recall": {"low": None}}},
}


def test_numbers_are_read_with_their_intervals() -> None:
    assert str(percent(REPORT, "binary.f1")) == "50.0 [25.0, 75.0]"
    assert str(number(REPORT, "binary.f1")) == "0.500 [0.250, 0.750]"
    assert str(number(REPORT, "binary.recall")) == "–"
    assert number(REPORT | {"intervals": None}, "binary.f1") == Number(0.5)
    assert str(Number(12345, digits=0)) == "12,345"


def test_rows_of_unknown_numbers_leave_their_place_empty(tmp_path) -> None:
    rows = [
        ComparisonRow("a", {"f1": percent(REPORT, "binary.f1")}, {"f1": 90.0}),
        ComparisonRow("b", {"f1": Number(None)}),
        ComparisonRow("c", {}),
    ]
    path = comparison_figure(rows, columns={"f1": "F1"}, path=tmp_path / "f.png", title="t")
    with Image.open(path) as image:
        assert image.width > 1000


@pytest.mark.parametrize("values", [[0.5, None, 0.3], [None], []])
def test_a_trace_is_drawn_whatever_failed(tmp_path, values) -> None:
    best = [0.5, 0.5, 0.3][: len(values)] if values[:1] == [0.5] else [None] * len(values)
    path = tuning_figure(values, best=best, initial=2, label="loss", path=tmp_path / "t.png")
    with Image.open(path) as image:
        assert np.asarray(image).std() > 1


def test_neighbouring_ticks_have_different_labels() -> None:
    assert [percent_label(share) for share in (0.515, 0.52, 0.525, 0.53)] == [
        "51.5%",
        "52%",
        "52.5%",
        "53%",
    ]
    assert [percent_label(share) for share in (0.0, 0.1, 0.29, 1.0)] == ["0%", "10%", "29%", "100%"]


def test_svg_by_suffix_depends_on_the_content_alone(tmp_path) -> None:
    row = ComparisonRow("a", {"f1": Number(50.0)})
    texts = [
        comparison_figure([row], columns={"f1": "F1"}, path=tmp_path / name, title="t").read_text()
        for name in ("one.svg", "two.svg")
    ]
    assert texts[0].startswith("<?xml")
    assert texts[0] == texts[1]
    assert "dc:date" not in texts[0]
