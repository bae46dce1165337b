"""Writing files: whole or as before, whatever ends the writing."""

import concurrent.futures
import errno
import json
import os
from pathlib import Path

import pytest

from mgajax.files import PARTIAL, replacing, write_bytes, write_csv, write_json, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_error_leaves_the_older_file_and_nothing_else(tmp_path: Path) -> None:
    path = write_text("before", tmp_path / "report.txt")

    def write_half() -> None:
        with replacing(path) as partial:
            partial.write_text("half of")
            assert path.read_text() == "before\n"
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_half()
    assert path.read_text() == "before\n"
    assert names(tmp_path) == ["report.txt"]


def test_an_unfinished_file_is_not_taken_for_a_picture(tmp_path: Path) -> None:
    with replacing(tmp_path / ("x" * 250 + ".png")) as partial:
        assert partial.name.startswith(PARTIAL)
        partial.write_bytes(b"1")
        assert list(tmp_path.glob("*.png")) == []
    assert names(tmp_path) == ["x" * 250 + ".png"]


def test_json_has_no_nan_and_texts_end_with_a_newline(tmp_path: Path) -> None:
    path = write_json({"dice": 0.5, "name": "é"}, tmp_path / "a.json")
    assert json.loads(path.read_text()) == {"dice": 0.5, "name": "é"}
    assert path.read_text().endswith("}\n")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json({"dice": float("nan")}, path)
    assert json.loads(path.read_text())["dice"] == 0.5
    assert write_text("once\n", tmp_path / "a.txt").read_text() == "once\n"
    assert write_csv([("a", "b"), (1, 'x"y')], tmp_path / "a.csv").read_text() == 'a,b\n1,"x""y"\n'


def test_two_in_one_folder_do_not_meet(tmp_path: Path) -> None:
    with replacing(tmp_path / "a") as first, replacing(tmp_path / "b") as second:
        first.write_text("1")
        second.write_text("2")
    assert [(tmp_path / name).read_text() for name in "ab"] == ["1", "2"]


def test_a_pipe_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        reading = pool.submit(pipe.read_text)
        write_text("to whoever reads", pipe)
        assert reading.result(timeout=10) == "to whoever reads\n"
    assert pipe.is_fifo()


@pytest.mark.parametrize(("survives", "waits"), [("power_cut", 1), ("kill", 0)])
def test_a_power_cut_costs_a_wait_for_the_disk(
    survives: str, waits: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[int] = []
    monkeypatch.setattr(os, "fsync", waited.append)
    write_bytes(b"1", tmp_path / "file", survives=survives)  # type: ignore[arg-type]
    assert len(waited) == waits


def test_threads_do_not_meet(tmp_path: Path) -> None:
    def write(number: int) -> None:
        write_bytes(b"%d" % number * 1000, tmp_path / f"{number % 3}", survives="kill")

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(200)))
    assert names(tmp_path) == ["0", "1", "2"]
    assert {len(set(path.read_bytes().decode())) for path in tmp_path.iterdir()} <= {1, 2, 3}


def test_an_error_of_writing_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="a.csv") as caught, replacing(tmp_path / "a.csv"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "a.csv")
    with pytest.raises(FileNotFoundError, match="other"), replacing(tmp_path / "a.csv"):
        (tmp_path / "other").read_bytes()
