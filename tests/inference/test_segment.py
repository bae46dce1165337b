"""`segment`: a mask for every slice without an annotated one, whatever happens on the way."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_runs import WHITE, bright_run, build, pixels, untrained_run
from resumed import disturb, finish, start

from mgajax.data.table import SliceTable, iter_encoded, read_table
from mgajax.errors import ConfigError, DataError
from mgajax.inference import segment as segmenting
from mgajax.inference.segment import SegmentSummary, mask_pixels, segment

Segment = Callable[..., SegmentSummary]
STAND_IN = {"devices", "batch_size", "level", "image_size"}


@pytest.fixture(scope="module")
def table(slices: Path) -> SliceTable:
    return read_table(slices)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, slices: Path, tmp_path: Path) -> Segment:
    """`segment` with a stand-in for the trained network; options of either."""

    def call(**options: Any) -> SegmentSummary:
        stand_in = {key: options.pop(key) for key in STAND_IN & options.keys()}
        trained = bright_run(**stand_in)
        monkeypatch.setattr(segmenting, "load_trained", lambda workdir, overrides: trained)
        return segment(tmp_path, **{"data": slices, "out": tmp_path / "out"} | options)

    return call


def masks(out: Path) -> dict[str, np.ndarray]:
    return {path.stem: pixels(path.read_bytes()) for path in sorted((out / "masks").iterdir())}


def lacking(table: SliceTable) -> list[int]:
    return np.flatnonzero(table.mask_origins == "none").tolist()


def manifest(out: Path) -> dict:
    return json.loads((out / "manifest.json").read_text())


def test_every_slice_without_an_annotated_mask_gets_one(
    run: Segment, slices: Path, table: SliceTable
) -> None:
    summary = run()
    rows = lacking(table)
    assert (summary.total, summary.annotated) == (24, 24 - len(rows))
    assert (summary.written, summary.earlier, summary.damaged, summary.finished) == (
        len(rows),
        0,
        {},
        True,
    )
    stored = masks(summary.folder)
    assert set(stored) == {table.file_names[row].removesuffix(".png") for row in rows}
    assert all("%" in name and " " in name for name in stored)
    assert {table.labels[row] for row in rows} == {0, 1, 2}
    inside = 0
    for row, image, _ in iter_encoded(slices, rows=rows):
        mask = stored[table.file_names[row].removesuffix(".png")]
        lesion = pixels(image) == WHITE
        assert mask.shape == lesion.shape
        assert set(np.unique(mask)) <= {0, 255}
        assert (lesion != (mask > 0)).sum() <= 0.2 * max(lesion.sum(), 20)
        inside += lesion.sum()
    assert inside > 1000


def test_the_manifest_records_the_origin_of_the_masks(run: Segment, table: SliceTable) -> None:
    summary = run()
    content = manifest(summary.folder)
    made_by = content["made_by"]
    assert content["model"] == made_by["model.name"] == "unet"
    assert made_by["checkpoint_step"] == 7
    assert made_by["preparation.image_size"] == 128
    assert (made_by["scales"], made_by["kind"], made_by["threshold"]) == ([1.0], "binary", 0.5)
    assert made_by["data_fingerprint"] == table.fingerprint
    assert len(made_by["parameters"]) == 64
    assert content["config"]["eval_batch_size"] == 4
    assert content["provenance"]["jax"]
    assert content["counts"] == {
        "slices": 24,
        "annotated": summary.annotated,
        "masks": summary.written,
        "damaged": 0,
    }
    assert content["finished"]


def test_soft_masks_are_probabilities(run: Segment, tmp_path: Path) -> None:
    soft = masks(run(kind="soft", out=tmp_path / "soft").folder)
    hard = masks(run(kind="binary", threshold=0.25, out=tmp_path / "hard").folder)
    assert soft.keys() == hard.keys()
    assert any(len(np.unique(mask)) > 10 for mask in soft.values())
    for name, mask in soft.items():
        assert ((mask >= 64) == (hard[name] > 0)).mean() > 0.999
    assert manifest(tmp_path / "soft")["made_by"]["threshold"] is None


def test_pixels_of_a_mask() -> None:
    lesion = np.array([[0.0, 0.002, 0.4999, 0.5, 0.75, 1.0]], np.float32)
    soft = mask_pixels(lesion, kind="soft", threshold=0.5)
    np.testing.assert_array_equal(soft, np.array([[0, 1, 127, 128, 191, 255]], np.uint8))
    hard = mask_pixels(lesion, kind="binary", threshold=0.5)
    np.testing.assert_array_equal(hard, np.array([[0, 0, 0, 255, 255, 255]], np.uint8))


def test_masks_do_not_depend_on_devices_or_batches(run: Segment, tmp_path: Path) -> None:
    single = run(devices=1, batch_size=5, kind="soft", out=tmp_path / "one")
    eight = run(devices=8, batch_size=8, kind="soft", out=tmp_path / "eight")
    first, second = masks(single.folder), masks(eight.folder)
    assert first.keys() == second.keys()
    for name, mask in first.items():
        np.testing.assert_allclose(mask.astype(int), second[name].astype(int), atol=1)


def test_finished_slices_are_not_redone(run: Segment, tmp_path: Path) -> None:
    summary = run()
    folder = summary.folder / "masks"
    paths = sorted(folder.iterdir())
    paths[3].unlink()
    paths[5].write_bytes(paths[5].read_bytes()[:-20])  # cut short by a power failure
    times = {path: path.stat().st_mtime_ns for path in paths if path != paths[3]}
    again = run()
    assert (again.written, again.earlier) == (2, summary.written - 2)
    redone = {path for path in times if path.stat().st_mtime_ns != times[path]}
    assert redone == {paths[5]}
    assert manifest(summary.folder)["counts"]["masks"] == summary.written
    assert run().written == 0


def test_annotated_masks_are_never_touched(run: Segment, table: SliceTable, tmp_path: Path) -> None:
    run()
    row = np.flatnonzero(table.mask_origins == "annotated")[0]
    theirs = tmp_path / "out" / "masks" / table.file_names[row]
    theirs.write_bytes(b"precious")
    run()
    assert theirs.read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("parameters", {"level": 0.5}),
        ("preparation.image_size", {"image_size": 64}),
        ("kind", {"kind": "soft"}),
        ("threshold", {"threshold": 0.4}),
    ],
)
def test_masks_of_two_origins_never_mix(run: Segment, key: str, options: dict) -> None:
    summary = run()
    before = manifest(summary.folder)
    with pytest.raises(ConfigError, match=f"holds masks made with {key}="):
        run(**options)
    assert manifest(summary.folder) == before


def test_a_folder_older_than_a_key_was_made_with_its_default(run: Segment) -> None:
    folder = run().folder
    before = manifest(folder)
    made_by = {key: value for key, value in before["made_by"].items() if key != "model.dtype"}
    (folder / "manifest.json").write_text(json.dumps(before | {"made_by": made_by}))
    run()
    assert manifest(folder)["made_by"] == before["made_by"]


def test_masks_of_two_data_sets_never_mix(run: Segment, tmp_path: Path) -> None:
    run()
    other = build(tmp_path / "other", damage=lambda number: number == 1)
    with pytest.raises(ConfigError, match="holds masks made with data_fingerprint="):
        run(data=other)


def test_a_corrupt_slice_is_reported_and_the_others_are_done(
    run: Segment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = build(tmp_path / "damaged", damage=lambda number: number in (1, 14))
    expected = masks(run(out=tmp_path / "whole").folder)
    summary = run(data=data)
    assert sorted(name.split("%")[0] for name in summary.damaged) == ["Case 1", "Case 14"]
    assert summary.finished
    content = manifest(summary.folder)
    assert content["damaged"] == summary.damaged
    assert content["counts"]["damaged"] == 2
    errors = capsys.readouterr().err
    for name, reason in summary.damaged.items():
        assert reason
        assert f"slice {name} cannot be decoded ({reason})" in errors
        del expected[name.removesuffix(".png")]
    stored = masks(summary.folder)
    assert stored.keys() == expected.keys()
    for name, mask in stored.items():
        np.testing.assert_array_equal(mask, expected[name])


def test_nothing_but_damage_is_an_error(run: Segment, tmp_path: Path) -> None:
    data = build(tmp_path / "ruined", damage=lambda number: True)
    with pytest.raises(DataError, match="none of .* slices? can be decoded"):
        run(data=data)
    assert manifest(tmp_path / "out")["finished"]


def test_a_signal_finishes_started_batches(
    run: Segment, monkeypatch: pytest.MonkeyPatch, table: SliceTable
) -> None:
    sent: list[int] = []

    def interrupting(*arguments, **options):
        for stored in iter_encoded(*arguments, **options):
            if not sent:
                sent.append(os.getpid())
                os.kill(os.getpid(), signal.SIGTERM)
            yield stored

    monkeypatch.setattr(segmenting, "iter_encoded", interrupting)
    stopped = run(devices=1, batch_size=1)
    assert not stopped.finished
    assert stopped.written < len(lacking(table))
    assert not manifest(stopped.folder)["finished"]
    assert run().written == len(lacking(table)) - stopped.written
    assert manifest(stopped.folder)["finished"]


@pytest.mark.parametrize("threshold", [0.0, 1.0, -1.0, float("nan")])
def test_a_threshold_is_a_probability(run: Segment, threshold: float) -> None:
    with pytest.raises(ConfigError, match="expected a probability between 0 and 1"):
        run(threshold=threshold)


@pytest.mark.slow(finds="masks half written, written twice or lost when the process is killed")
def test_killed_and_started_again(slices: Path, table: SliceTable, tmp_path: Path) -> None:
    """A real network in a process of its own, killed with masks half done."""
    workdir = untrained_run(
        tmp_path / "run", "--config.preparation.image_size=256", "--config.eval_batch_size=1"
    )
    out = tmp_path / "out"
    words = ["segment", f"--workdir={workdir}", f"--data={slices}", f"--out={out}", "--soft"]

    def written() -> list[Path]:
        return sorted((out / "masks").glob("[!.]*"))

    process = start(words, cache=tmp_path / "compiled")
    disturb(process, number=signal.SIGKILL, once=lambda: len(written()) >= 3)
    assert finish(process)[0] == -signal.SIGKILL
    times = {path: path.stat().st_mtime_ns for path in written()}
    count = len(lacking(table))
    assert 3 <= len(times) < count
    assert not manifest(out)["finished"]

    code, text, err = finish(start(words, cache=tmp_path / "compiled"))
    assert code == 0, err
    assert f"{count - len(times)} masks written, {len(times)} were there" in text
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert len(written()) == count
    assert manifest(out)["finished"]
    assert manifest(out)["made_by"]["scales"] == [0.5, 1.0]

    code, _, err = finish(start([*words, "--scales=1.0"], cache=tmp_path / "compiled"))
    assert code == 2
    assert "holds masks made with scales=[0.5, 1.0], asked for [1.0]" in err
    assert err.count("\n") == 1
