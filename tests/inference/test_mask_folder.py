"""Whole masks or none, one writer, one origin, one name for one slice."""

import fcntl
import json
from pathlib import Path

import numpy as np
import pytest

from mgajax.errors import ConfigError, DataError
from mgajax.inference.mask_folder import LOCK, claim_masks, mask_names

MASK = np.eye(30, 20, dtype=np.uint8) * np.uint8(255)
MADE_BY = {"model.name": "unet", "scales": [1.0], "threshold": None}


def test_names_are_the_slices_without_suffix() -> None:
    names = ["17_Zhao_2020.02.10%p3 (1).PNG", "a b.c.png", "P001_1.png"]
    assert mask_names(names) == ["17_Zhao_2020.02.10%p3 (1)", "a b.c", "P001_1"]


@pytest.mark.parametrize("other", ["a.jpg", "A.png", "deep/a.png", "a.png"])
def test_two_slices_never_share_a_mask(other: str) -> None:
    with pytest.raises(DataError, match=r"'a.png' and '.*' would share the mask"):
        mask_names(["a.png", "b.png", other])


def test_a_slice_without_a_name_is_refused() -> None:
    with pytest.raises(DataError, match="no name for its mask"):
        mask_names(["a.png", ""])


def test_a_mask_is_whole_or_absent(tmp_path: Path) -> None:
    with claim_masks(tmp_path, made_by=MADE_BY) as folder:
        assert not folder.holds("a%1")
        folder.write("a%1", MASK)
        assert folder.holds("a%1")
        whole = folder.path("a%1").read_bytes()
        for cut in (0, 4, len(whole) - 1):
            folder.path("a%1").write_bytes(whole[:cut])
            assert not folder.holds("a%1")
        assert [path.name for path in (tmp_path / "masks").iterdir()] == ["a%1.png"]


def test_leftovers_of_a_killed_process_are_cleared(tmp_path: Path) -> None:
    with claim_masks(tmp_path, made_by=MADE_BY) as folder:
        folder.describe({"made_by": MADE_BY})
        folder.write("a", MASK)
    (tmp_path / "masks" / ".writing-7").write_bytes(b"half")
    with claim_masks(tmp_path, made_by=MADE_BY) as folder:
        assert folder.holds("a")
    assert [path.name for path in (tmp_path / "masks").iterdir()] == ["a.png"]


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with claim_masks(tmp_path, made_by=MADE_BY):
        pass
    with (tmp_path / LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with (
            pytest.raises(ConfigError, match="another process is writing masks there"),
            claim_masks(tmp_path, made_by=MADE_BY),
        ):
            pass


@pytest.mark.parametrize(
    ("key", "value"), [("model.name", "segnet"), ("scales", [0.5, 1.0]), ("new", 1)]
)
def test_masks_of_another_origin_are_left_alone(tmp_path: Path, key: str, value: object) -> None:
    with claim_masks(tmp_path, made_by=MADE_BY) as folder:
        folder.describe({"made_by": MADE_BY})
        folder.write("a", MASK)
    with (
        pytest.raises(ConfigError, match=f"{key}=.*asked for .*another --out"),
        claim_masks(tmp_path, made_by=MADE_BY | {key: value}),
    ):
        pass


def test_a_folder_without_masks_may_be_reused_with_any_settings(tmp_path: Path) -> None:
    with claim_masks(tmp_path, made_by=MADE_BY) as folder:
        folder.describe({"made_by": MADE_BY})
    with claim_masks(tmp_path, made_by={"model.name": "segnet"}) as folder:
        folder.describe({"made_by": {"model.name": "segnet"}})
    assert json.loads((tmp_path / "manifest.json").read_text())["made_by"]["model.name"] == "segnet"


def test_masks_that_nothing_describes_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "annotated.png").write_bytes(b"precious")
    with (
        pytest.raises(ConfigError, match=r"holds 1 file \(such as annotated.png"),
        claim_masks(tmp_path, made_by=MADE_BY),
    ):
        pass
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ConfigError, match="damaged"), claim_masks(tmp_path, made_by=MADE_BY):
        pass
    assert (tmp_path / "masks" / "annotated.png").read_bytes() == b"precious"
