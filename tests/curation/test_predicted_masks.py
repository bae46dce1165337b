"""Folders of predicted masks: which are taken, which are findings, what the folder is called."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mgajax.curation.findings import Finding, Findings
from mgajax.curation.predicted_masks import (
    digest_masks,
    masks_name,
    predicted_folder,
    read_origin,
    read_values,
    verify_masks,
)
from mgajax.errors import ConfigError, DataError

SHAPE = (6, 9)
SOFT = np.arange(54, dtype=np.uint8).reshape(SHAPE) * 4


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """An output folder of `mgajax segment`: masks of a.png, b%1.png and c.jpg."""
    (tmp_path / "masks").mkdir()
    for stem in ("a", "b%1", "c"):
        Image.fromarray(SOFT).save(tmp_path / "masks" / f"{stem}.png")
    (tmp_path / "masks" / ".half.png").write_bytes(b"")
    (tmp_path / "manifest.json").write_text(json.dumps({"made_by": {"network": "unet"}}))
    return tmp_path


def verified(folder: Path, *names: str) -> tuple[dict[str, Path], Findings]:
    findings = Findings()
    shapes = dict.fromkeys(names, SHAPE)
    return verify_masks(shapes, folder=folder, findings=findings), findings


def test_either_folder_may_be_given(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert predicted_folder(str(output)) == predicted_folder(str(output / "masks"))
    monkeypatch.chdir(output.parent)
    assert predicted_folder(output.name) == (output / "masks").resolve()
    assert predicted_folder("use") is predicted_folder("ignore") is None
    with pytest.raises(ConfigError, match="masks='ignored': no such folder.*did you mean 'ignore'"):
        predicted_folder("ignored")


def test_masks_are_found_by_stem_and_read_as_they_are(output: Path) -> None:
    masks, findings = verified(output / "masks", "a.png", "b%1.png", "c.jpg", "absent.png")
    assert set(masks) == {"a.png", "b%1.png", "c.jpg"}
    np.testing.assert_array_equal(read_values(masks["c.jpg"], shape=SHAPE), SOFT)
    assert findings.names(Finding.NO_MASK) == ("absent.png",)
    assert not findings.damaged()


def test_masks_that_fail_are_findings(output: Path) -> None:
    (output / "masks" / "a.png").write_bytes(b"no picture")
    Image.fromarray(SOFT.T).save(output / "masks" / "c.png")
    masks, findings = verified(output / "masks", "a.png", "b%1.png", "c.jpg")
    assert set(masks) == {"b%1.png"}
    assert findings.names(Finding.MASK_UNDECODABLE) == ("a.png",)
    assert findings.names(Finding.MASK_SIZE) == ("c.jpg",)
    assert findings.damaged() == {"a.png", "c.jpg"}


def test_a_folder_of_another_data_set_is_refused(output: Path) -> None:
    with pytest.raises(DataError, match=r"3 PNGs, none of them .* 2 slices .*\(e.g. x.png\)"):
        verified(output / "masks", "x.png", "y.png")
    assert verified(output / "masks")[0] == {}


def test_a_mask_that_changed_since_is_refused(output: Path) -> None:
    with pytest.raises(DataError, match="changed while"):
        read_values(output / "masks" / "a.png", shape=(6, 8))


def test_the_digest_and_the_name_follow_the_content(output: Path, tmp_path: Path) -> None:
    before = digest_masks(output / "masks")
    assert masks_name(str(output)) == masks_name(str(output / "masks")) == before[:12]
    assert (masks_name("use"), masks_name("")) == ("use", "")
    (output / "manifest.json").write_text("{}")
    assert digest_masks(output / "masks") == before
    Image.fromarray(SOFT[::-1]).save(output / "masks" / "a.png")
    assert digest_masks(output / "masks") != before


def test_the_origin_of_masks_is_read(output: Path) -> None:
    assert read_origin(output / "masks") == {"network": "unet"}
    (output / "manifest.json").write_text("[]")
    assert read_origin(output / "masks") == {}
    (output / "manifest.json").unlink()
    assert read_origin(output / "masks") == {}
