"""Reading a built data set as columns."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from drawn_slices import build, draw
from PIL import Image

from mgajax.data.table import dataset_directory, iter_encoded, read_table, signature
from mgajax.errors import DataError


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("data"))


def order(table) -> list[int]:
    """The numbers of the drawn slices, by row."""
    return [int(name.split("_")[-1].split("%")[0]) for name in table.file_names]


def test_columns(built: Path) -> None:
    table = read_table(built)
    numbers = np.array(order(table))
    assert sorted(numbers) == list(range(18))
    assert table.built_split.tolist() == [0] * 11 + [1] * 4 + [2] * 3
    assert set(numbers[:11]) == set(range(11))
    np.testing.assert_array_equal(table.labels, numbers % 3)
    assert table.patients.tolist() == [f"zhao/Fall {n // 2}" for n in numbers]
    assert set(table.sources) == {"zhao"}
    names = ("none", "annotated", "predicted")
    assert table.mask_origins.tolist() == [names[n % 3] for n in numbers]
    assert table.flags.tolist() == ["upside_down" if n == 3 else "" for n in numbers]
    assert table.directory == built.resolve()


def test_pictures_come_in_the_tables_order(built: Path) -> None:
    numbers = order(read_table(built))
    for row, image, mask in iter_encoded(built):
        drawn = draw(64, seed=numbers[row], shift=0.01 * (numbers[row] % 5))
        np.testing.assert_array_equal(Image.open(io.BytesIO(image)), drawn["image"])
        np.testing.assert_array_equal(Image.open(io.BytesIO(mask)), drawn["mask"])


def test_some_rows_across_splits(built: Path) -> None:
    every = {row: pair for row, *pair in iter_encoded(built)}
    some = {row: pair for row, *pair in iter_encoded(built, rows=[0, 10, 11, 17])}
    assert some == {row: every[row] for row in (0, 10, 11, 17)}


def test_fingerprint_is_of_the_content(built: Path, tmp_path: Path) -> None:
    again, other = build(tmp_path / "again"), build(tmp_path / "other", seed=1)
    assert read_table(again).fingerprint == read_table(built).fingerprint
    assert read_table(other).fingerprint != read_table(built).fingerprint
    assert signature(again) != signature(built)


def test_found_from_above(built: Path) -> None:
    assert dataset_directory(built.parent.parent) == built.resolve()


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        read_table(tmp_path / "nowhere")


def test_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no dataset_info\.json"):
        read_table(tmp_path)


def test_several_data_sets_are_listed(built: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(built, tmp_path / name / "1.0.0")
    with pytest.raises(DataError, match=r"2 data sets \(one/1\.0\.0, two/1\.0\.0\)"):
        read_table(tmp_path)


def test_interrupted_build(built: Path, tmp_path: Path) -> None:
    shutil.copytree(built, tmp_path / "incomplete.ABC123_1.0.0")
    with pytest.raises(DataError, match="interrupted build"):
        read_table(tmp_path)


def test_missing_shard(built: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(built, tmp_path / "1.0.0"))
    next(copy.glob("*test.array_record*")).unlink()
    with pytest.raises(DataError, match="split 'test' cannot be read"):
        read_table(copy)


def test_truncated_shard(built: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(built, tmp_path / "1.0.0"))
    shard = next(copy.glob("*train.array_record*"))
    shard.write_bytes(shard.read_bytes()[:-20_000])
    with pytest.raises(DataError, match="split 'train' cannot be read"):
        read_table(copy)


def test_missing_feature(built: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(built, tmp_path / "1.0.0"))
    features = json.loads((copy / "features.json").read_text())
    del features["featuresDict"]["features"]["lesion_mask"]
    (copy / "features.json").write_text(json.dumps(features))
    with pytest.raises(DataError, match="feature 'lesion_mask' is missing"):
        read_table(copy)


def test_other_class_names(built: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(built, tmp_path / "1.0.0"))
    (copy / "label.labels.txt").write_text("COVID-19\nNormal\nCAP\n")
    with pytest.raises(DataError, match="in this order"):
        read_table(copy)
