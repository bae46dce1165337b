"""The pictures of these pages, from a finished quickstart. Everything in them is drawn.

    mgajax quickstart
    python docs/figures/make.py --quickstart quickstart

`chain.png` is made by the two networks on test slices; the others are copies of what the quickstart
itself wrote.
"""

import argparse
import io
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from mgajax.data.table import iter_encoded, read_table
from mgajax.evaluation.predictions import read_csv
from mgajax.inference import Prediction, Predictor
from mgajax.reporting.figures.map_panels import ATTENTION_MAP
from mgajax.reporting.figures.style import FOUND, bare, class_colour, drawing
from mgajax.schema import CLASS_NAMES
from mgajax.training.trained import load_trained

HERE = Path(__file__).resolve().parent

COPIES = {
    "attention.png": "classification/evaluation/test_attention.png",
    "lesions.png": "segmentation/evaluation/test_panel.png",
    "explained.png": "classification/explanation/overlays.png",
}
"""By a picture's name, what the quickstart called it."""

TITLES = ("slice", "lesion (step 1)", "attention (step 2)", "report")


def main() -> None:
    """Make all pictures anew."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quickstart", type=Path, default=Path("quickstart"))
    quickstart = parser.parse_args().quickstart
    for name, source in COPIES.items():
        shutil.copyfile(quickstart / source, HERE / name)
    slices, labels = test_slices(quickstart / "classification")
    results = Predictor(quickstart / "classification", quickstart / "segmentation")(slices)
    print(draw_chain(slices, labels, results))


def test_slices(run: Path) -> tuple[list[np.ndarray], list[int]]:
    """Of COVID-19 and CAP the test slice with the largest annotated lesion of those that the run
    calls right: uint8 [h, w], and its label."""
    predictions = read_csv(run / "evaluation" / "test_predictions.csv")
    areas = np.nan_to_num(predictions.overlap["lesion_area"])
    areas[predictions.predicted != predictions.labels] = 0.0
    labels = [CLASS_NAMES.index(name) for name in ("COVID-19", "CAP")]
    names = [
        predictions.file_names[np.where(predictions.labels == label, areas, -1.0).argmax()]
        for label in labels
    ]
    table = read_table(load_trained(run).config.data.dir)
    rows = [int(np.flatnonzero(table.file_names == name)[0]) for name in names]
    pictures = {row: image for row, image, _ in iter_encoded(table.directory, rows=rows)}
    decoded = [np.asarray(Image.open(io.BytesIO(pictures[row])).convert("L")) for row in rows]
    return decoded, labels


def draw_chain(
    slices: list[np.ndarray], labels: list[int], results: tuple[Prediction, ...]
) -> Path:
    """A row a slice, a column a station; the last holds the classes' probabilities."""
    path = HERE / "chain.png"
    with drawing(path, width=8.0, height=1.8 * len(slices) + 0.2) as figure:
        grid = figure.subplots(len(slices), 4, squeeze=False)
        for axes, title in zip(grid[0], TITLES, strict=True):
            axes.set_title(title)
        for row, slice_, label, result in zip(grid, slices, labels, results, strict=True):
            for axes in row[:3]:
                bare(axes).imshow(slice_, cmap="gray")
            row[0].set_ylabel(f"truth: {CLASS_NAMES[label]}")
            if result.lesion is not None:
                row[1].contourf(result.lesion, levels=[0.5, 1.0], colors=[FOUND], alpha=0.5)
                row[1].contour(result.lesion, levels=[0.5], colors=[FOUND], linewidths=1.2)
            row[2].imshow(result.attention, cmap=ATTENTION_MAP, alpha=0.45)
            chances = result.probabilities
            colours = [class_colour(name, code) for code, name in enumerate(CLASS_NAMES)]
            row[3].barh(CLASS_NAMES, chances, color=colours, height=0.55)
            row[3].set(xlim=(0, 1.25), xticks=[])
            row[3].invert_yaxis()
            row[3].spines[:].set_visible(False)
            row[3].tick_params(length=0)
            row[3].grid(False)
            row[3].set_box_aspect(0.75)
            for position, chance in enumerate(chances):
                row[3].text(chance + 0.03, position, f"{100 * chance:.0f} %", va="center")
    return path


if __name__ == "__main__":
    main()
