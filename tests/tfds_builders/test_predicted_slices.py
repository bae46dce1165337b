"""The curated set with predicted masks for slices without annotated ones."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from built_records import records
from kaggle_fixture import SLICES, write_copy
from PIL import Image

from mgajax.cli import main
from mgajax.curation.predicted_masks import digest_masks
from mgajax.data.table import read_table
from mgajax.errors import DataError
from mgajax.schema import MASK_ORIGINS
from tfds_builders import BuildResult, build
from tfds_builders.covid_ct_slices import CovidCtSlices, CovidCtSlicesConfig


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_copy(tmp_path_factory.mktemp("download"))


@pytest.fixture(scope="module")
def built(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    return build_copy(copy, tmp_path_factory.mktemp("data"))


def build_copy(copy: Path, data_dir: Path, **options) -> BuildResult:
    return build("covid_ct_slices", manual_dir=copy, data_dir=data_dir, **options)


ANNOTATED = {
    "14_Jun_coronacases_case1_155.png",
    "13_Bjorke_1.png",
    "13_Bjorke_2.png",
    "16_Morozov_study_0255_13.png",
}


def predict(folder: Path, *, value: int = 77, skip: tuple[str, ...] = ()) -> Path:
    """A soft mask of one value for every drawn slice, as `mgajax segment` writes them."""
    (folder / "masks").mkdir(parents=True)
    for slice_ in SLICES:
        if slice_.on_disk not in skip:
            mask = Image.new("L", slice_.size, value)
            mask.save(folder / "masks" / slice_.on_disk)
    made_by = {"network": "unet", "step": 40}
    (folder / "manifest.json").write_text(json.dumps({"made_by": made_by}))
    return folder


def test_predicted_masks_fill_in_where_none_is_annotated(
    copy: Path, built: BuildResult, tmp_path: Path
) -> None:
    folder = predict(tmp_path / "predicted", skip=("cap001_11.png",))
    result = build_copy(copy, tmp_path / "data", masks=str(folder))
    digest = digest_masks(folder / "masks")
    assert result.name == f"covid_ct_slices/default-masks_{digest[:12]}"
    before, stored = records(built.directory), records(result.directory)
    for name, record in stored.items():
        origin = MASK_ORIGINS[record["mask_origin"]]
        np.testing.assert_array_equal(record["image"], before[name]["image"])
        assert record["split"] == before[name]["split"]
        if name in ANNOTATED:
            assert origin == "annotated"
            np.testing.assert_array_equal(record["lesion_mask"], before[name]["lesion_mask"])
        elif name == "cap001_11.png":
            assert origin == "none"
            assert not record["lesion_mask"].any()
        else:
            assert origin == "predicted"
            assert (record["lesion_mask"] == 77).all()
    assert (result.record["masked"], result.record["predicted"]) == (4, len(SLICES) - 4 - 1)
    assert result.record["findings"]["no_mask"]["examples"] == ["cap001_11.png"]
    assert result.record["masks_made_by"] == {"network": "unet", "step": 40}
    assert f"4 slices with an annotated lesion mask, {len(SLICES) - 5} with a predicted one" in (
        result.summary
    )
    assert set(read_table(result.directory).mask_origins) == set(MASK_ORIGINS)


def test_other_predictions_are_another_data_set(copy: Path, tmp_path: Path) -> None:
    folder = predict(tmp_path / "predicted")
    first = build_copy(copy, tmp_path / "data", masks=str(folder))
    assert build_copy(copy, tmp_path / "data", masks=str(folder / "masks")).status == "reused"
    shutil.rmtree(folder)
    second = build_copy(copy, tmp_path / "data", masks=str(predict(folder, value=78)))
    assert second.status == "built"
    assert second.directory != first.directory


def test_a_config_of_ones_own_notices_changed_predictions(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = predict(tmp_path / "predicted")
    mine = CovidCtSlicesConfig(name="mine", masks=str(folder))
    monkeypatch.setattr(CovidCtSlices, "BUILDER_CONFIGS", [mine])
    assert build_copy(copy, tmp_path / "data").status == "built"
    assert build_copy(copy, tmp_path / "data").status == "reused"
    shutil.rmtree(folder)
    predict(folder, value=78)
    with pytest.raises(DataError, match="was built from other files"):
        build_copy(copy, tmp_path / "data")


def test_bad_predictions_are_damage(copy: Path, tmp_path: Path) -> None:
    folder = predict(tmp_path / "predicted")
    (folder / "masks" / "P001_69.png").write_bytes(b"no picture")
    Image.new("L", (5, 5)).save(folder / "masks" / "P001_70.png")
    with pytest.raises(DataError, match=r"masks of another size .*: 1 \(e.g. P001_70.png\)"):
        build_copy(copy, tmp_path / "data", masks=str(folder))
    result = build_copy(copy, tmp_path / "data", builder_config="partial", masks=str(folder))
    assert result.record["findings"]["undecodable_mask"]["examples"] == ["P001_69.png"]
    assert result.record["predicted"] == len(SLICES) - 4 - 2


def test_the_command_line_takes_a_folder_of_masks(copy: Path, tmp_path: Path) -> None:
    folder = predict(tmp_path / "predicted")
    words = ["--manual_dir", str(copy), "--data_dir", str(tmp_path / "data")]
    assert main(["build", "covid_ct_slices", *words, "--option", f"masks={folder}"]) == 0
    table = read_table(tmp_path / "data")
    assert (table.mask_origins == "predicted").sum() == len(SLICES) - 4
