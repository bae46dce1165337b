"""Figures that are drawn but not rendered, where their numbers alone are looked at."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from mgajax.reporting.figures import style


def leave_blank(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every figure's file is a small blank picture, an SVG's too: rendering takes the time."""

    def save(figure: Figure, path: Path) -> None:
        Image.new("RGB", (120, 60)).save(path, "PNG")

    monkeypatch.setattr(style, "save", save)
