"""`mgajax explain` on a run of six steps: what it writes, and what it refuses."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from explanation.drawn_networks import gated, gated_run
from PIL import Image

from mgajax.cli import main
from mgajax.errors import ConfigError, DataError
from mgajax.explanation.explain import _names as run_names
from mgajax.explanation.explain import explain_runs
from mgajax.explanation.methods import select_methods
from mgajax.explanation.results import panel_slices
from mgajax.explanation.slices import baselines_for, slices_of_split
from mgajax.training import run_setup
from mgajax.training.run import reopen_run


@pytest.fixture(scope="module")
def little(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a network that is explained in a moment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_setup, "make_model", gated)
        return gated_run(trained, tmp_path_factory.mktemp("runs") / "trained")


@pytest.fixture
def run(little: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, and `explain` finds its network."""
    monkeypatch.setattr(run_setup, "make_model", gated)
    return little


def test_a_split_is_explained_scored_and_drawn(run: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    words = ["explain", "--workdir", str(run), "--out", str(out), "--limit", "4"]
    assert main([*words, "--method", "deeplift,attention"]) == 0
    output = capsys.readouterr().out
    assert "trained: DeepLIFT Rescale: " in output
    assert "s a slice" in output

    maps = np.load(out / "trained_DeepLIFT-Rescale.npz")
    assert maps["maps"].shape == (4, 32, 32)
    np.testing.assert_allclose(
        maps["maps"].sum(axis=(1, 2), dtype=np.float64),
        maps["difference"] + maps["completeness_gap"],
        atol=1e-5,
    )
    assert np.abs(maps["completeness_gap"]).max() < 1e-3 * np.abs(maps["difference"]).max()
    attention = np.load(out / "trained_own-attention.npz")["maps"]
    assert ((attention > 0) & (attention < 1)).all()

    with (out / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 3
    assert {(row["method"], row["reading"]) for row in rows} == {
        ("DeepLIFT Rescale", "positive"),
        ("DeepLIFT Rescale", "absolute"),
        ("own attention", "positive"),
    }
    with_lesion = [row for row in rows if row["lesion_area"] not in ("", "0.0")]
    assert all(0 <= float(row["rank_auc"]) <= 1 for row in with_lesion)
    summary = json.loads((out / "summary.json").read_text())
    assert summary["slices"] == 4
    page = (out / "index.html").read_text()
    assert page.count("data:image/png;base64,") >= 2
    assert "own attention" in page
    for name in ("maps", "overlays"):
        with Image.open(out / f"{name}.png") as picture:
            assert picture.width > 400


def test_picture_files_need_no_data(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "slice.png"
    grey = np.random.default_rng(0).integers(0, 255, (40, 50), dtype=np.uint8)
    Image.fromarray(grey).save(file)
    explanation = explain_runs(
        [run], out=tmp_path / "out", images=[file], methods=["gradcam"], target="CAP"
    )
    assert explanation.slices.names.tolist() == ["slice.png"]
    assert explanation.targets["trained"].tolist() == [2]
    assert explanation.probabilities["trained"].sum() == pytest.approx(1, abs=1e-5)
    assert not (tmp_path / "out" / "rank_auc.png").exists()
    with pytest.raises(ConfigError, match="--baseline normal: needs Normal training slices"):
        explain_runs([run], out=tmp_path, images=[file], baseline="normal")
    with pytest.raises(ConfigError, match="--target label: --images have no labels"):
        explain_runs([run], out=tmp_path, images=[file], target="label")


def test_files_that_are_no_pictures_are_named(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "text.png"
    file.write_text("no picture")
    with pytest.raises(DataError, match=r"text\.png"):
        explain_runs([run], out=tmp_path, images=[file])
    with pytest.raises(DataError, match=r"absent\.png"):
        explain_runs([run], out=tmp_path, images=[tmp_path / "absent.png"])


def test_one_run_twice_is_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="different runs"):
        explain_runs([trained, trained], out=tmp_path)


def test_runs_are_distinguished_by_the_end_of_their_paths() -> None:
    assert run_names([Path("a/mga"), Path("b/cbam")]) == ["mga", "cbam"]
    assert run_names([Path("a/x/mga"), Path("b/x/mga")]) == ["a/x/mga", "b/x/mga"]


def test_slices_and_baselines_of_a_split(trained: Path) -> None:
    reopened = reopen_run(trained)
    slices = slices_of_split(reopened, split="test", limit=3)
    assert len(slices) == 3
    assert slices.images.shape == (3, 32, 32, 1)
    assert set(slices.names) <= set(reopened.data.table.file_names[reopened.data.rows("test")])
    for kind in ("black", "blurred", "normal"):
        assert baselines_for(slices, kind=kind, seed=0).shape == (3, 32, 32, 1)
    assert baselines_for(slices, kind="normals", seed=0).shape[1:] == (3, 32, 32, 1)
    with pytest.raises(ConfigError, match="--baseline white"):
        baselines_for(slices, kind="white", seed=0)
    with pytest.raises(ConfigError, match="--limit 0"):
        slices_of_split(reopened, split="test", limit=0)


def test_methods_by_name() -> None:
    assert list(select_methods((), has_attention=False)) == ["deeplift", "gradcam"]
    assert list(select_methods(("ig",), has_attention=True)) == ["ig"]
    with pytest.raises(ConfigError, match="--method attention: the run's network has no"):
        select_methods(("attention",), has_attention=False)
    with pytest.raises(ConfigError, match="did you mean 'deeplift'"):
        select_methods(("deplift",), has_attention=True)


def test_the_panel_shows_each_patients_largest_lesion_first() -> None:
    masks = np.zeros((9, 4, 4), np.uint8)
    for row, size in enumerate((1, 4, 2, 3, 0, 9, 0, 5, 6)):
        masks[row].ravel()[:size] = 255
    known = np.array([True] * 8 + [False])
    patients = np.array(["a", "a", "b", "b", "c", "c", "d", "d", "e"])
    shown = panel_slices(masks, has_mask=known, patients=patients)
    assert shown.tolist()[:4] == [5, 7, 1, 3]
    assert len(set(shown.tolist())) == 6
    assert panel_slices(masks[:2], has_mask=known[:2], patients=None).tolist() == [1, 0]


@pytest.mark.parametrize(
    "stages",
    [
        1,
        pytest.param(
            4, marks=pytest.mark.slow(finds="a trained classifier whose layers are not all redrawn")
        ),
    ],
)
def test_maps_are_checked_without_masks(
    little: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stages: int
) -> None:
    if stages == 1:
        monkeypatch.setattr(run_setup, "make_model", gated)
    run = little if stages == 1 else trained
    out = tmp_path / "out"
    words = ["explain", "--workdir", str(run), "--out", str(out), "--limit", "3"]
    words += ["--method", "deeplift,attention", "--check", "insertion,deletion,randomisation"]
    assert main(words) == 0
    with (out / "checks.csv").open() as file:
        rows = list(csv.DictReader(file))
    curves: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        curves.setdefault((row["file_name"], row["method"], row["check"]), []).append(
            float(row["value"])
        )
    assert len(curves) == 3 * 2 * 3
    for (name, method, check), values in curves.items():
        if check != "insertion":
            continue
        # All pixels in: the slice itself; all out: the blurred slice, however they are ordered.
        back = curves[name, method, "deletion"]
        np.testing.assert_allclose([values[0], values[-1]], [back[-1], back[0]], rtol=1e-5)
        assert len(values) == 21
    redrawn = {row["point"] for row in rows if row["check"] == "randomisation"}
    assert redrawn == {"head", "stem", *(f"stage{number + 1}" for number in range(stages))}
    summary = json.loads((out / "summary.json").read_text())
    area = summary["checks"]["trained/own attention/deletion"]
    assert 0 < area["mean"] < 1
    assert area["low"] is area["high"] is None, "three slices are too few for an interval"
    with Image.open(out / "checks.png") as picture:
        assert picture.width > 900
    with pytest.raises(ConfigError, match="--check delete"):
        explain_runs([trained], out=out, checks=["delete"])
