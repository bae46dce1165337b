"""`mgajax predict`: tables, pages and pictures of what the networks say."""

import csv
import errno
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from drawn_scans import AIR, AXIAL, Predict, drawn, grid, lungs, series_affine, write_series
from drawn_volumes import chest
from PIL import Image

from mgajax.cli import main
from mgajax.inference.predict import predict
from mgajax.inference.predictor import Predictor
from mgajax.inference.problems import RESEARCH_USE
from mgajax.inference.scanning import Settings
from mgajax.schema import CLASS_NAMES


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def slices(folder: Path, n: int) -> list[Path]:
    """Drawn chests of growing lungs as pictures."""
    folder.mkdir(parents=True)
    volume = chest(depth=2 * n + 1)
    paths = []
    for place in range(n):
        plane = volume[..., place + 1].astype(np.float64)
        grey = np.clip((plane + 1350) / 1500 * 255, 0, 255).astype(np.uint8)
        paths.append(folder / f"slice_{place + 1}.png")
        Image.fromarray(grey).save(paths[-1])
    return paths


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def comment(path: Path) -> str:
    """What a picture file says of itself."""
    with Image.open(path) as image:
        text = image.info.get("Comment") or image.info["comment"].decode()
    return text


def embedded(page: Path) -> dict:
    """What the page's script is given."""
    match = re.search(r"const SCAN=(.*);\n", page.read_text("utf-8"))
    assert match is not None
    return json.loads(match.group(1))


def test_a_trained_run_from_the_command_line(trained: Path, tmp_path: Path, capsys) -> None:
    """A real classifier, all layers: a folder of pictures becomes tables, masks and pages."""
    paths = slices(tmp_path / "patient 7", 3)
    out = tmp_path / "out"
    words = ["predict", "--classifier", str(trained), "--tta", "3", "--out", str(out)]
    words += ["--segmenter", "finder", "--batch_size", "3", "--attribution", "gradcam"]
    assert main([*words, "--input", str(tmp_path / "patient 7")]) == 0
    assert "patient_7: 3 slices" in capsys.readouterr().out
    table = rows(out / "slices.csv")
    assert [row["file"] for row in table] == [path.name for path in paths]
    expected = Predictor(trained, variations=3, buckets=(3,))([pixels(path) for path in paths])
    for row, slice_ in zip(table, expected, strict=True):
        chances = [float(row[name]) for name in CLASS_NAMES]
        np.testing.assert_allclose(chances, slice_.probabilities, atol=2e-5)
        assert row["predicted"] == CLASS_NAMES[int(np.argmax(chances))]
        assert all(
            float(row[f"{n}_low"]) <= float(row[n]) <= float(row[f"{n}_high"]) for n in CLASS_NAMES
        )
        assert row["use"] == RESEARCH_USE
        assert row["lung_ml"] == row["lesion_ml"] == ""
    folder = out / "patient_7"
    for layer, suffix in (
        ("slices", "jpg"),
        ("lesion", "png"),
        ("attention", "png"),
        ("attribution", "png"),
    ):
        names = sorted(path.name for path in (folder / layer).iterdir())
        assert names == [f"{number:04}.{suffix}" for number in (1, 2, 3)]
    pictures = [*folder.rglob("*.png"), *folder.rglob("*.jpg")]
    assert {comment(path) for path in pictures} == {RESEARCH_USE}
    assert {path.name for path in (folder / "masks").iterdir()} == {path.name for path in paths}
    about = json.loads((out / "predict.json").read_text())
    assert about["use"] == RESEARCH_USE
    assert about["settings"]["window"] == "published"
    assert [network["model"] for network in about["networks"]] == ["mga_resnet18", "unet"]


def test_pages_need_no_network_and_name_every_picture(run: Predict, tmp_path: Path) -> None:
    slices(tmp_path / "<b>name", 5)
    result = run(tmp_path / "<b>name")
    page = result.page.parent / result.scans[0].name / "index.html"
    for path in (result.page, page):
        text = path.read_text("utf-8")
        assert text.count(RESEARCH_USE) >= 2
        assert "<b>name" not in text
        for link in re.findall(r'(?:src|href)="([^"]+)"', text):
            assert not re.match(r"\w+:|//", link), link
            assert (path.parent / link).exists(), link
    scan = embedded(page)
    assert len(scan["slices"]) == 5
    for number in range(1, 6):
        for layer in re.findall(r'data-layer="(\w+)"', page.read_text("utf-8")):
            assert list((page.parent / layer).glob(f"{number:04}.*"))
    assert scan["slices"][2]["text"].startswith("Slice 3 of 5: slice_3.png")
    assert sum(scan["slices"][2]["chances"]) == pytest.approx(1.0, abs=1e-3)


def test_a_scan_is_the_mean_of_its_chest_slices(run: Predict, tmp_path: Path) -> None:
    values = chest(depth=9).clip(min=AIR)
    affine = series_affine(AXIAL, spacing=(4.0, 4.0), step=(0, 0, -4.0))
    write_series(tmp_path / "series", values, affine, patient="one")
    (scan,) = run(tmp_path / "series", window=None).scans
    assert 3 <= len(scan.deciding_slices) < 9
    assert all(slice_.lung_pixels for slice_ in scan.deciding_slices)
    assert {slice_.members is None for slice_ in scan.slices if not slice_.is_chest} == {True}
    table = rows(tmp_path / "out" / "slices.csv")
    chests = [row for row in table if "not a chest slice" not in row["warnings"]]
    (patient,) = rows(tmp_path / "out" / "patients.csv")
    assert int(patient["chest_slices"]) == len(chests) == len(scan.deciding_slices)
    for name in CLASS_NAMES:
        mean = np.mean([float(row[name]) for row in chests])
        assert float(patient[name]) == pytest.approx(mean, abs=1e-4)
        assert patient[f"{name}_low"] == ""
    assert [float(row["position_mm"]) for row in table] == sorted(
        (float(row["position_mm"]) for row in table), reverse=True
    )


def test_the_share_of_lung_counts_lesion_as_lung(run: Predict, tmp_path: Path) -> None:
    affine = series_affine(AXIAL, spacing=(1.0, 1.0), step=(0, 0, -4.0))
    where = grid(affine, (96, 96, 3))
    middle = where.reshape(-1, 3).mean(axis=0)
    values, ball = drawn(where, centre=middle, radius=10.0)
    lung = lungs(where)
    values[lung & ~ball] = -800
    write_series(tmp_path / "series", values, affine)
    run(tmp_path / "series")
    (patient,) = rows(tmp_path / "out" / "patients.csv")
    assert float(patient["lesion_ml"]) == pytest.approx(ball.sum() * 4 / 1000, rel=1e-5)
    assert float(patient["lung_ml"]) == pytest.approx((lung | ball).sum() * 4 / 1000, rel=1e-5)
    share = ball.sum() / (lung | ball).sum()
    assert float(patient["lesion_share_of_lung"]) == pytest.approx(share, rel=1e-5)


def test_an_ensemble_without_a_segmenter(tmp_path: Path) -> None:
    slices(tmp_path / "given", 2)
    result = predict(
        [tmp_path / "given"],
        out=tmp_path / "out",
        classifiers=[Path("classifier-1"), Path("classifier2")],
        settings=Settings(attribution="none"),
    )
    assert result.scans[0].slices[0].members.shape == (2, 3)
    (patient,) = rows(tmp_path / "out" / "patients.csv")
    assert patient["lesion_ml"] == ""
    for name in CLASS_NAMES:
        assert float(patient[f"{name}_low"]) < float(patient[name]) < float(patient[f"{name}_high"])
    folder = tmp_path / "out" / "given"
    assert not (folder / "masks").exists()
    assert not (folder / "lesion").exists()
    assert 'value="lesion"' not in (folder / "index.html").read_text("utf-8")


def test_turned_pictures_are_upright_and_their_masks_as_given(run: Predict, tmp_path: Path) -> None:
    (path,) = slices(tmp_path / "given", 1)
    picture = pixels(path).copy()
    picture[40:56, 12:24] = 255
    Image.fromarray(picture[::-1]).save(path)
    result = run(path)
    assert "upside down" in result.scans[0].slices[0].oddities
    assert "upside down in 1 of 1 slice that could be judged" in result.problems[0].text
    (turned,) = run(path, out="turned", turn="flip").scans
    assert turned.slices[0].oddities == ()
    masks = [pixels(tmp_path / out / "given" / "masks" / path.name) for out in ("out", "turned")]
    np.testing.assert_array_equal(masks[0], masks[1])
    assert masks[0][::-1][44:52, 14:22].all()


@pytest.mark.parametrize(("owner", "method"), [(Image.Image, "save"), (Path, "write_bytes")])
def test_a_full_disk_ends_the_call_and_its_error_names_the_path(
    run: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: type, method: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as `write` does: without a path

    slices(tmp_path / "given", 1)
    monkeypatch.setattr(owner, method, fail)
    with pytest.raises(OSError, match="No space left on device") as caught:
        run(tmp_path / "given")
    assert Path(caught.value.filename).is_relative_to(tmp_path / "out" / "given")
