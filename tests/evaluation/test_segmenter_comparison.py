"""Segmenters side by side: paired differences, and the files of a comparison."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from drawn_masks import drawn_pairs
from drawn_runs import without_figures
from PIL import Image
from pretended import stream_of, untrained

from mgajax.errors import ConfigError, DataError
from mgajax.evaluation import collect_counts, count_slice, metrics_from_counts
from mgajax.evaluation.bootstrap import IntervalSettings
from mgajax.evaluation.evaluate_segmenter import evaluate_segmenter
from mgajax.evaluation.evaluation_report import slices_of_split
from mgajax.evaluation.segmenter_comparison import compare_segmenters, paired_differences
from mgajax.training.run import Run

PATIENTS = np.array([f"p{i // 3}" for i in range(30)])
SETTINGS = IntervalSettings(replicates=200, seed=0, confidence=0.95)


def _counts(shift: int):
    predictions, masks = drawn_pairs(30)
    return collect_counts(map(count_slice, [np.roll(p, shift, axis=1) for p in predictions], masks))


def test_the_difference_is_that_of_the_two_evaluations():
    counts = {"good": _counts(0), "bad": _counts(4)}
    report = paired_differences(counts, PATIENTS, settings=SETTINGS)
    alone = {
        name: metrics_from_counts(model_counts, PATIENTS, bootstrap=0)
        for name, model_counts in counts.items()
    }
    assert report["reference"] == "good"
    for block in ("pooled", "per_image", "per_image_with_lesion"):
        for key, cell in report["models"]["bad"][block].items():
            expected = alone["good"][block][key] - alone["bad"][block][key]
            assert cell["value"] == pytest.approx(expected, abs=1e-12)
            assert cell["low"] <= cell["value"] <= cell["high"]
    dice = report["models"]["bad"]["pooled"]["dice"]
    assert dice["low"] > 0, "four pixels off is worse beyond doubt"
    json.dumps(report, allow_nan=False)


def test_a_model_differs_from_itself_by_nothing_at_all():
    counts = {"one": _counts(1), "other": _counts(1)}
    differences = paired_differences(counts, PATIENTS, settings=SETTINGS)["models"]["other"]
    for block in differences.values():
        for cell in block.values():
            assert (cell["value"], cell["low"], cell["high"]) == (0, None, None)
            assert cell["reason"] == "no patient makes a difference"


def test_pairing_narrows_the_interval():
    counts = {"one": _counts(0), "other": _counts(1)}
    span = paired_differences(counts, PATIENTS, settings=SETTINGS)["models"]["other"]["per_image"]
    paired = span["dice"]["high"] - span["dice"]["low"]
    apart = [
        metrics_from_counts(model_counts, PATIENTS, bootstrap=200)["intervals"]["per_image"]["dice"]
        for model_counts in counts.values()
    ]
    assert paired < 0.5 * sum(interval["high"] - interval["low"] for interval in apart)


@pytest.fixture(scope="module")
def evaluated(phantom: Path, tmp_path_factory: pytest.TempPathFactory):
    """Two evaluated runs, and what to patch so that they can be asked again."""
    top = tmp_path_factory.mktemp("compared")
    stream = stream_of({"unet": lambda shares: shares, "segnet": lambda s: np.roll(s, 4, axis=2)})
    with without_figures(), pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(Run, "stream", stream)
        for model in ("unet", "segnet"):
            run = untrained(phantom, top / model, model=model)
            folder = top / model / "evaluation"
            folder.mkdir()
            evaluate_segmenter(
                run,
                slices_of_split(run, "test"),
                state=run.state_shapes(),
                step=1,
                out=folder / "test.json",
                folder=folder,
            )
        monkeypatch.setattr(Run, "restore_state", lambda run: (run.state_shapes(), 1))
        yield [top / "unet", top / "segnet"]


def test_leaves_table_differences_and_figures(evaluated, tmp_path: Path) -> None:
    comparison = compare_segmenters(evaluated, out=tmp_path / "new" / "table3")
    assert [path.name for path in comparison.files] == [
        "table3.md",
        "table3.json",
        "table3.png",
        "fig7.png",
    ]
    text = comparison.files[0].read_text()
    assert text == comparison.table + "\n"
    for row in ("| U-Net |", "| *SegNet in the paper* |", "| U-Net minus |"):
        assert row in text
    written = json.loads(comparison.files[1].read_text())
    assert written["differences"] == comparison.differences
    assert list(written["models"]) == ["unet", "segnet"]
    for path in comparison.files[2:]:
        with Image.open(path) as picture:
            assert min(picture.size) > 300
    assert comparison.differences["models"]["segnet"]["pooled"]["iou"]["low"] > 0


def _copy(workdir: Path, place: Path) -> Path:
    return Path(shutil.copytree(workdir, place))


def test_only_evaluations_of_the_same_slices_are_compared(evaluated, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="1 runs to compare"):
        compare_segmenters(evaluated[:1], out=tmp_path)
    with pytest.raises(ConfigError, match="no evaluation/test.json.*mgajax evaluate"):
        compare_segmenters([evaluated[0], tmp_path], out=tmp_path)
    with pytest.raises(ConfigError, match="unet, unet; expected folders of different names"):
        compare_segmenters([evaluated[0], evaluated[0]], out=tmp_path)
    other = _copy(evaluated[1], tmp_path / "fewer")
    slices = other / "evaluation" / "test_slices.csv"
    lines = slices.read_text().splitlines()
    slices.write_text("\n".join(lines[:-1]))
    with pytest.raises(DataError, match="evaluated on different slices"):
        compare_segmenters([evaluated[0], other], out=tmp_path)
    cells = lines[-1].split(",")
    cells[4] = str(int(cells[4]) + 1)  # a pixel more of lesion
    slices.write_text("\n".join([*lines[:-1], ",".join(cells)]))
    with pytest.raises(DataError, match="expected the same masks"):
        compare_segmenters([evaluated[0], other], out=tmp_path)
    slices.write_text("file_name\nx\n")
    with pytest.raises(
        DataError, match=r"test_slices.csv: cannot be read .* evaluate the run again"
    ):
        compare_segmenters([evaluated[0], other], out=tmp_path)
