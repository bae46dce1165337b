"""The prepared cache: contents, reuse, staleness, damage, several processes, a full disk."""

import io
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from drawn_slices import build
from PIL import Image

from mgajax.data import array_store, cache
from mgajax.data.cache import PreparedSet, open_prepared_set
from mgajax.data.preparation import Preparation, prepare
from mgajax.data.table import iter_encoded, read_table
from mgajax.errors import DataError

SETTINGS = Preparation(image_size=32)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("data"))


@pytest.fixture
def built(original: Path, tmp_path: Path) -> Path:
    """A copy of the data set that a test may change."""
    return Path(shutil.copytree(original, tmp_path / "drawn_slices" / "1.0.0"))


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one each time that slices are prepared."""
    counted: list[int] = []
    original = cache._write_pictures

    def counting(*args, **kwargs):
        counted.append(1)
        return original(*args, **kwargs)

    monkeypatch.setattr(cache, "_write_pictures", counting)
    return counted


def the_cache(built: Path) -> Path:
    (folder,) = (p for p in (built.parent / cache.CACHE_FOLDER).iterdir() if p.is_dir())
    return folder


def assert_same(first: PreparedSet, second: PreparedSet) -> None:
    assert first.fingerprint == second.fingerprint
    for name in ("images", "masks", "boxes", "usable", "notes"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    for name, column in first.table.columns().items():
        np.testing.assert_array_equal(column, second.table.columns()[name])
        assert column.dtype == second.table.columns()[name].dtype


def test_rows_are_the_prepared_slices(built: Path) -> None:
    prepared = open_prepared_set(built, settings=SETTINGS)
    assert prepared.images.shape == prepared.masks.shape == (18, 32, 32, 1)
    for row, image, mask in iter_encoded(built):
        pictures = [np.asarray(Image.open(io.BytesIO(data))) for data in (image, mask)]
        alone = prepare(*pictures, settings=SETTINGS)
        np.testing.assert_array_equal(prepared.images[row, ..., 0], alone.image)
        np.testing.assert_array_equal(prepared.masks[row, ..., 0], alone.mask)
        assert tuple(prepared.boxes[row]) == alone.box
    assert prepared.usable.all()
    np.testing.assert_array_equal(prepared.table.file_names, read_table(built).file_names)


def test_second_opening_reuses_the_first(built: Path, builds: list[int]) -> None:
    assert_same(
        open_prepared_set(built, settings=SETTINGS), open_prepared_set(built, settings=SETTINGS)
    )
    assert len(builds) == 1


def test_opened_arrays_are_read_only_maps(built: Path) -> None:
    open_prepared_set(built, settings=SETTINGS)
    prepared = open_prepared_set(built.parent, settings=SETTINGS)
    assert isinstance(prepared.images, np.memmap)
    assert not prepared.images.flags.writeable


def test_opening_needs_no_tfds(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with the cache trains without tensorflow-datasets."""
    first = open_prepared_set(built, settings=SETTINGS)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    assert_same(first, open_prepared_set(built, settings=SETTINGS))


def test_each_setting_has_its_own_cache(built: Path, builds: list[int]) -> None:
    first = open_prepared_set(built, settings=SETTINGS)
    other = open_prepared_set(built, settings=Preparation(image_size=32, crop="none"))
    assert first.fingerprint != other.fingerprint
    open_prepared_set(built, settings=SETTINGS)
    assert len(builds) == 2


def test_given_cache_folder(built: Path, tmp_path: Path) -> None:
    open_prepared_set(built, settings=SETTINGS, cache_dir=tmp_path / "elsewhere")
    assert not (built.parent / cache.CACHE_FOLDER).exists()
    assert any((tmp_path / "elsewhere").iterdir())


def test_upright_mirrors_the_flagged_slice(built: Path) -> None:
    stored = open_prepared_set(built, settings=SETTINGS)
    upright = open_prepared_set(built, settings=Preparation(image_size=32, orientation="upright"))
    flagged = stored.table.flags == "upside_down"
    assert flagged.sum() == 1
    np.testing.assert_array_equal(stored.images[~flagged], upright.images[~flagged])
    (row,) = np.flatnonzero(flagged)
    ((_, *encoded),) = iter_encoded(built, rows=[int(row)])
    pictures = [np.asarray(Image.open(io.BytesIO(data)))[::-1] for data in encoded]
    expected = prepare(*pictures, settings=SETTINGS)
    np.testing.assert_array_equal(upright.images[row, ..., 0], expected.image)
    np.testing.assert_array_equal(upright.masks[row, ..., 0], expected.mask)
    assert (upright.images[row] != stored.images[row]).any()


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", array_store.MANIFEST])
@pytest.mark.parametrize("how", ["flip", "truncate", "delete"])
def test_damage_is_noticed_and_repaired(
    built: Path, builds: list[int], capsys: pytest.CaptureFixture[str], name: str, how: str
) -> None:
    first = open_prepared_set(built, settings=SETTINGS)
    reference = np.array(first.images)
    file = the_cache(built) / name
    content = bytearray(file.read_bytes())
    if how == "flip":
        content[-7] ^= 1
    if how == "truncate":
        del content[-9:]
    file.unlink()
    if how != "delete":
        file.write_bytes(content)
    again = open_prepared_set(built, settings=SETTINGS)
    assert len(builds) == 2
    np.testing.assert_array_equal(again.images, reference)
    message = capsys.readouterr().err
    assert "building it again" in message
    assert "damaged" in message


def test_changed_data_set_is_prepared_again(
    built: Path, builds: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = open_prepared_set(built, settings=SETTINGS)
    other = build(tmp_path / "other", seed=100)
    shutil.rmtree(built)
    shutil.copytree(other, built)
    second = open_prepared_set(built, settings=SETTINGS)
    assert first.fingerprint != second.fingerprint
    assert len(builds) == 2
    assert (second.images != first.images).any()
    assert "fingerprint" in capsys.readouterr().err


def test_touched_data_set_is_not_prepared_again(built: Path, builds: list[int]) -> None:
    first = open_prepared_set(built, settings=SETTINGS)
    for path in built.iterdir():
        os.utime(path, (1, 1))
    assert_same(first, open_prepared_set(built, settings=SETTINGS))
    assert len(builds) == 1


def test_interrupted_build_leaves_nothing_that_counts(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cache, "_blank_slice", interrupted)
        patch.setattr(cache, "_prepare_encoded", interrupted)
        with pytest.raises(KeyboardInterrupt):
            open_prepared_set(built, settings=SETTINGS)
    folders = [p for p in (built.parent / cache.CACHE_FOLDER).iterdir() if p.is_dir()]
    assert folders == []
    assert open_prepared_set(built, settings=SETTINGS).usable.all()


def test_leftovers_of_a_killed_build_are_cleared(built: Path) -> None:
    open_prepared_set(built, settings=SETTINGS)
    folder = the_cache(built)
    shutil.rmtree(folder)
    leftover = folder.with_name(f"{folder.name}.writing-99999")
    leftover.mkdir()
    (leftover / "images.npy").write_bytes(b"half")
    open_prepared_set(built, settings=SETTINGS)
    assert not leftover.exists()


def test_old_maps_outlive_a_rebuild(built: Path) -> None:
    first = open_prepared_set(built, settings=SETTINGS)
    before = np.array(first.images)
    (the_cache(built) / "boxes.npy").unlink()
    open_prepared_set(built, settings=SETTINGS)
    np.testing.assert_array_equal(first.images, before)


PROCESS = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from mgajax.data import cache
    from mgajax.data.preparation import Preparation
    directory, flag, ready = sys.argv[1:4]
    write = cache._write_pictures
    def slow(*args, **kwargs):
        Path(flag).open("a").write("built\\n")
        time.sleep(1.0)
        return write(*args, **kwargs)
    cache._write_pictures = slow
    Path(ready).touch()
    deadline = time.monotonic() + 30
    while len(list(Path(ready).parent.glob("ready*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    done = cache.open_prepared_set(directory, settings=Preparation(image_size=32))
    print(done.fingerprint, int(done.images.sum()))
    """
)


def test_two_processes_build_one_cache(built: Path, tmp_path: Path) -> None:
    flag = tmp_path / "builds"
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                PROCESS,
                str(built),
                str(flag),
                str(tmp_path / f"ready{number}"),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert flag.read_text() == "built\n"
    assert outputs[0][0] == outputs[1][0]
    assert any("another process is at work on it; waiting" in error for _, error in outputs)


def test_few_damaged_slices_are_left_out(
    original: Path, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    built = build(tmp_path, damage=5)
    monkeypatch.setattr(cache, "MAX_DAMAGED", 0.1)
    prepared = open_prepared_set(built, settings=SETTINGS)
    (row,) = np.flatnonzero(~prepared.usable)
    assert prepared.table.file_names[row] == "17_Zhao_5%1.png"
    assert prepared.notes[row] == cache.DAMAGED
    assert not prepared.images[row].any()
    message = capsys.readouterr().err
    assert "1 of 18 slices cannot be decoded: 17_Zhao_5%1.png" in message
    whole = open_prepared_set(original, settings=SETTINGS, cache_dir=tmp_path / "whole")
    others = np.argsort(whole.table.file_names), np.argsort(prepared.table.file_names)
    keep = prepared.usable[others[1]]
    np.testing.assert_array_equal(whole.images[others[0]][keep], prepared.images[others[1]][keep])


def test_many_damaged_slices_are_fatal(tmp_path: Path) -> None:
    built = build(tmp_path, damage=5)  # 1 of 18 is more than 5 %
    with pytest.raises(DataError, match=r"1 of 18 .*17_Zhao_5%1\.png.* at most 5% may be"):
        open_prepared_set(built, settings=SETTINGS)
    assert not [p for p in (built.parent / cache.CACHE_FOLDER).iterdir() if p.is_dir()]


def test_full_disk_is_a_clear_error(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self, row):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(array_store.RowWriter, "write", full)
        with pytest.raises(DataError, match="No space left.*set --config.data.cache_dir=FOLDER"):
            open_prepared_set(built, settings=SETTINGS)
    assert open_prepared_set(built, settings=SETTINGS).usable.all()


def test_too_little_disk_space_is_reported_beforehand(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(built)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(DataError, match=r"needs 0\.0 GB, 0\.0 GB are free"):
        open_prepared_set(built, settings=SETTINGS)


def test_manifest_describes_the_cache(built: Path) -> None:
    open_prepared_set(built, settings=SETTINGS)
    stored = json.loads((the_cache(built) / array_store.MANIFEST).read_text())["content"]
    assert stored["settings"]["image_size"] == 32
    assert stored["fingerprint"] == read_table(built).fingerprint
    assert {"images.npy", "masks.npy", "boxes.npy", "patients.npy"} <= set(stored["files"])
