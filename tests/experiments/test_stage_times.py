"""Seconds of stages, stored beside their results and read by later calls; and peak memory."""

import subprocess
import sys
from pathlib import Path

import pytest

from mgajax.experiments import memory
from mgajax.experiments.memory import forget_peak, peak_memory
from mgajax.experiments.real.sets import RealSets
from mgajax.experiments.real.stage_times import StageTimes, read_seconds


def told(times: StageTimes) -> dict[tuple[str, str], float | None]:
    return {(row.name, row.metric): row.value for row in times.rows()}


def test_a_later_call_reads_the_seconds_of_an_earlier_one(tmp_path: Path) -> None:
    first = StageTimes()
    first.add("masks", tmp_path / "a.json", seconds=3.0)
    first.add("masks", tmp_path / "b.json", seconds=4.0)
    assert told(first) == {
        ("masks", "Times"): 2,
        ("masks", "Seconds each"): 3.5,
        ("masks", "Seconds"): 7,
    }
    later = StageTimes()
    for name in ("a.json", "b.json", "a.json"):
        later.count("masks", tmp_path / name)
    assert told(later) == told(first)


def test_seconds_of_stopped_stages_add_up_and_unmeasured_ones_are_unknown(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    times = StageTimes()
    times.add("masks", file, seconds=3.0)
    times.add("masks", file, seconds=2.0, goes_on=True)
    assert read_seconds(file) == 5.0
    times.add("masks", tmp_path / "b.json", seconds=2.0, goes_on=True)
    assert read_seconds(tmp_path / "b.json") is None
    rows = {row.metric: row for row in times.rows()}
    assert (rows["Seconds each"].value, rows["Seconds"].value) == (5, None)
    assert rows["Seconds"].note == "1 of 2 times not measured"


def test_building_counts_where_this_call_has_built(tmp_path: Path) -> None:
    def build(name: str, *, data_dir: Path, **_: object) -> Path:
        place = data_dir / name / "1.0.0"
        place.mkdir(parents=True, exist_ok=True)
        if not (place / "dataset_info.json").exists():
            (place / "dataset_info.json").write_text("{}")
        return place

    def drawn() -> dict[tuple[str, str], float | None]:
        sets = RealSets(slices=None, lesions=None, build=build, folder=tmp_path, stand_in={})
        sets.drawn_set({})
        return told(sets.times)

    (tmp_path / "ct_phantom").mkdir()
    first = drawn()
    assert first["building ct_phantom", "Seconds"] is not None
    assert drawn() == first
    (tmp_path / "ct_phantom" / "1.0.0.seconds.json").unlink()
    assert drawn()["building ct_phantom", "Seconds"] is None, "built by somebody else"


PEAKS = """
from mgajax.experiments.memory import forget_peak, peak_memory

SIZE = 2**26
forget_peak()
before = peak_memory()
block = b"1" * SIZE
with_block = peak_memory() - before
del block
after_block = peak_memory() - before
forget_peak()
print(with_block / SIZE, after_block / SIZE, (peak_memory() - before) / SIZE)
"""
"""In a program of its own: that of the tests gives memory back while it is measured, as it likes."""


def test_the_peak_is_measured_since_the_reset() -> None:
    if not memory.MARK.exists():
        pytest.skip("this system cannot forget a peak")
    told = subprocess.run([sys.executable, "-c", PEAKS], check=True, capture_output=True, text=True)
    with_block, after_block, after_reset = map(float, told.stdout.split())
    assert with_block > 0.9
    assert after_block > 0.9
    assert after_reset < 0.5


def test_other_systems_tell_a_peak_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "STATUS", tmp_path / "none")
    monkeypatch.setattr(memory, "MARK", tmp_path / "none" / "either")
    forget_peak()
    assert peak_memory() > 2**25
