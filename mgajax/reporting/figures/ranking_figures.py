"""ROC and precision-recall curves with the bands of a bootstrap."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from mgajax.reporting.figures.style import FAINT, class_colour, drawing, title_of, with_interval

DASHES = (0, (4, 4))


def ranking_figure(rankings: Mapping[str, Any], *, metrics: Mapping[str, Any], path: Path) -> Path:
    """Left ROC, right precision over recall; each class against the rest, in its colour.

    The positive class is drawn heavier. Dashed: what a blind guess reaches, in the right panel for
    the positive class.

    Args:
      rankings: by class, from `evaluation.ranking.ranking_curves`.
      metrics: of the same examples, from `classification_metrics`.
      path: PNG or SVG to write.
    """
    positive = metrics["positive"]
    with drawing(path, width=9.6, height=5.3) as figure:
        left, right = figure.subplots(1, 2)
        left.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=DASHES)
        if positive in rankings:
            right.axhline(rankings[positive].share, color=FAINT, linewidth=1, linestyle=DASHES)
        for code, name in enumerate(metrics["class_names"]):
            if name not in rankings:
                continue
            look = {
                "color": class_colour(name, code),
                "linewidth": 2.4 if name == positive else 1.3,
            }
            area = _area(metrics, "three_class", "roc_auc", name)
            _draw(left, rankings[name].roc, label=f"{name}   {area}", look=look)
            _draw(right, rankings[name].precision_recall, label=name, look=look)
        _finish(left, x="false positive rate (1 − specificity)", y="true positive rate (recall)")
        _finish(right, x="recall", y="precision")
        left.legend(loc="lower right", title="ROC AUC", title_fontsize=9, alignment="left")
        average = _area(metrics, "covid_vs_rest", "average_precision")
        right.set_title(f"average precision of {positive}: {average}", weight="normal", size=9.5)
        title = f"Each class against the rest, {title_of(dict(metrics))}"
        figure.suptitle(f"{title}{_note(metrics)}", x=0.01, ha="left", size=10.5)
    return path


def _draw(axes: Axes, curve: Any, *, label: str, look: dict[str, Any]) -> None:
    axes.plot(curve.x, curve.y, label=label, drawstyle="default", **look)
    if curve.low is not None:
        colour = look["color"]
        axes.fill_between(curve.grid, curve.low, curve.high, color=colour, alpha=0.13, linewidth=0)


def _finish(axes: Axes, *, x: str, y: str) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), aspect="equal", xlabel=x, ylabel=y)


def _area(metrics: Mapping[str, Any], block: str, *path: str) -> str:
    value, span = metrics[block], (metrics["intervals"] or {}).get(block)
    for key in path:
        value, span = value[key], (span or {}).get(key)
    return with_interval(value, span)


def _note(metrics: Mapping[str, Any]) -> str:
    if not metrics["intervals"]:
        return ""
    settings = metrics["intervals"]["settings"]
    return f"; bands: {settings['confidence']:.0%}, pointwise, over {settings['unit']}s"
