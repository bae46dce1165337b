"""Seconds of stages, stored beside their results and read by later calls; and peak memory."""

from pathlib import Path

import numpy as np
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


def test_the_peak_is_measured_since_the_reset(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if not memory.MARK.exists():
        pytest.skip("this system cannot forget a peak")
    forget_peak()
    before = peak_memory()
    filled = np.ones(2**23)
    assert peak_memory() - before > 0.9 * filled.nbytes
    del filled
    forget_peak()
    assert peak_memory() - before < 2**25
    monkeypatch.setattr(memory, "STATUS", tmp_path / "none")
    monkeypatch.setattr(memory, "MARK", tmp_path / "none" / "either")
    forget_peak()
    assert peak_memory() > 2**25, "what every system tells"
