"""Opening a data set: which slices are examples, which have known masks, and the split."""

from pathlib import Path

import numpy as np
import pytest
from drawn_slices import build

from mgajax.data.dataset import Dataset, known_masks, open_dataset
from mgajax.data.preparation import Preparation
from mgajax.data.splits import Split
from mgajax.data.table import SliceTable, read_table
from mgajax.errors import DataError, LeakageError
from mgajax.schema import CLASS_NAMES

SETTINGS = Preparation(image_size=32)
CODES = (0, 0, 1, 2)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("data"))


def table_of(labels: list[int], origins: list[str]) -> SliceTable:
    count = len(labels)
    return SliceTable(
        labels=np.array(labels, np.int32),
        patients=np.array([f"zhao/{row}" for row in range(count)]),
        sources=np.array(["zhao"] * count),
        file_names=np.array([f"{row}.png" for row in range(count)]),
        mask_origins=np.array(origins),
        built_split=np.zeros(count, np.int8),
        fingerprint="",
        directory=Path(),
    )


def dealt(data, *, codes=CODES, leaks: bool = False) -> Split:
    """Assign rows in turn to the splits of `codes`, regardless of patients."""
    return Split("in turn", np.resize(np.array(codes, np.int8), len(data.table)), leaks=leaks)


def opened(built: Path, **options) -> Dataset:
    return open_dataset(
        built,
        settings=SETTINGS,
        choose_split=lambda data: dealt(data, leaks=True),
        **options,
    )


@pytest.mark.parametrize(
    ("normal", "origins", "expected"),
    [
        ("empty", ("annotated", "predicted"), [1, 1, 1, 1, 0]),
        ("empty", ("annotated",), [1, 1, 0, 1, 0]),
        ("unknown", ("annotated", "predicted"), [0, 1, 1, 1, 0]),
        ("unknown", ("annotated",), [0, 1, 0, 1, 0]),
    ],
)
def test_slices_with_known_masks(
    normal: str, origins: tuple[str, ...], expected: list[float]
) -> None:
    table = table_of(
        [CLASS_NAMES.index("Normal"), 1, 1, 2, 1],
        ["none", "annotated", "predicted", "annotated", "none"],
    )
    known = known_masks(table, normal_mask=normal, mask_origins=origins)
    assert known.dtype == np.float32
    assert known.tolist() == expected


def test_each_example_is_in_the_split_that_was_chosen(built: Path) -> None:
    data = opened(built)
    rows = {name: data.rows(name) for name in ("train", "validation", "test")}
    np.testing.assert_array_equal(np.sort(np.concatenate([*rows.values()])), range(len(data.table)))
    np.testing.assert_array_equal(rows["validation"] % 4, 2)
    names = data.table.file_names[rows["test"]][::-1]
    np.testing.assert_array_equal(data.find_rows(names.tolist()), rows["test"][::-1])


def test_without_a_known_mask_a_slice_is_no_example_of_a_task_that_needs_one(built: Path) -> None:
    data = opened(built, needs_masks=True, mask_origins=("annotated",), normal_mask="unknown")
    annotated = data.table.mask_origins == "annotated"
    assert 0 < annotated.sum() < len(annotated)
    np.testing.assert_array_equal(data.is_example, annotated)
    assert set(data.table.mask_origins[data.rows("train")]) == {"annotated"}
    assert data.usable.all()


def test_a_predicted_mask_is_no_truth(built: Path) -> None:
    data, everything = opened(built), np.arange(len(read_table(built)))
    truth = data.has_true_mask(everything)
    np.testing.assert_array_equal(
        truth, (data.mask_weights > 0) & (data.table.mask_origins != "predicted")
    )
    assert truth.any()


def test_a_patient_in_two_splits_is_refused_and_so_is_nothing_to_train_on(built: Path) -> None:
    with pytest.raises(LeakageError):
        open_dataset(built, settings=SETTINGS, choose_split=dealt)
    with pytest.raises(DataError, match="split in turn: no usable training slice"):
        open_dataset(
            built,
            settings=SETTINGS,
            choose_split=lambda data: dealt(data, codes=(1,), leaks=True),
        )
