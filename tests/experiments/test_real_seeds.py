"""Seeds finished elsewhere: joined with others, never trained again, refused where they do not fit."""

import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pretended_chain import SEGMENTED, PretendedTraining

from mgajax.config import segmentation
from mgajax.errors import ConfigError, DataError
from mgajax.experiments.plan import PlannedRun
from mgajax.experiments.real import chain as stages
from mgajax.experiments.real.arms import Arm, Start
from mgajax.experiments.real.experiment import run_real
from mgajax.experiments.real.order import RealOrder
from mgajax.experiments.real.seed_archive import ARCHIVE, FinishedSeeds, keep_seeds, read_seeds

PLAN = """
from mgajax.config import classification, segmentation
from ml_collections import ConfigDict


def get_config():
    plan = ConfigDict(sort_keys=False)
    plan.unet = segmentation("unet")
    plan.mga = classification("mga_resnet18")
    return plan
"""

RowsOf = Callable[[RealOrder], list[dict[str, object]]]


@pytest.fixture
def order(tmp_path: Path) -> RealOrder:
    """Two seeds of two networks."""
    plan = tmp_path / "plan.py"
    plan.write_text(PLAN)
    return RealOrder(workdir=tmp_path / "out", plan=plan, budget="smoke", seeds=2, segmenter="unet")


@pytest.fixture
def rows_of(phantom: Path, monkeypatch: pytest.MonkeyPatch) -> RowsOf:
    """Runs an experiment; gives its numbers, without those of its cost."""
    monkeypatch.setattr(stages, "segment", lambda *_, **__: SEGMENTED)

    def run(order: RealOrder) -> list[dict[str, object]]:
        assert run_real(order, build=lambda *_, **__: phantom) is not None
        rows = json.loads((order.workdir / "results.json").read_text())["rows"]
        return [row for row in rows if row["table"] != "What the other stages took"]

    return run


@pytest.fixture
def first(rows_of: RowsOf, training: PretendedTraining, order: RealOrder, tmp_path: Path) -> Path:
    """The archive of seed 0, made in another place."""
    alone = replace(order, workdir=tmp_path / "first", runs=tmp_path / "there", seeds=1)
    rows_of(alone)
    training.finished.clear()
    return alone.workdir / ARCHIVE


def test_an_added_seed_gives_the_numbers_of_both_at_once(
    rows_of: RowsOf, training: PretendedTraining, order: RealOrder, first: Path, tmp_path: Path
) -> None:
    both = rows_of(replace(order, workdir=tmp_path / "both", runs=tmp_path / "here"))
    training.finished.clear()
    joined = replace(order, earlier=first)
    assert rows_of(joined) == both
    assert {run.seed for run in training.finished} == {1}
    results = json.loads((joined.workdir / "results.json").read_text())
    assert results["seeds"] == [0, 1]
    assert results["design"]["seeds"] == 2
    assert f"--earlier {first}" in results["command"]

    training.finished.clear()
    kept = joined.workdir / ARCHIVE
    again = replace(order, workdir=tmp_path / "again", runs=tmp_path / "nowhere", earlier=kept)
    assert rows_of(again) == both
    assert not training.finished
    assert (again.workdir / ARCHIVE).read_bytes() == kept.read_bytes()


def test_an_archive_whose_unpacking_was_cut_short_is_unpacked_again(
    first: Path, order: RealOrder, phantom: Path
) -> None:
    def read() -> set[int]:
        chain = stages.Chain(replace(order, earlier=first), build=lambda *_, **__: phantom)
        return {run.seed for run in chain.earlier.runs if (run.folder / "done.json").is_file()}

    assert read() == {0}
    for path in (order.folder / "earlier").rglob("unet-*/*.json"):
        path.unlink()
    assert read() == {0}


def test_an_archive_names_no_place_and_is_refused_where_it_does_not_fit(
    first: Path, order: RealOrder, phantom: Path, tmp_path: Path
) -> None:
    with tarfile.open(first) as archive:
        contents = {file.name: archive.extractfile(file).read() for file in archive}  # type: ignore[union-attr]
    assert {Path(name).suffix for name in contents} == {".json", ".jsonl", ".csv", ".txt"}
    assert not [name for name, content in contents.items() if str(tmp_path).encode() in content]

    assert order.plan is not None
    names = ("narrow.py", "wide.py", "cut.xz", "empty.xz")
    narrow, wide, cut, empty = (tmp_path / name for name in names)
    more = '    plan.segnet = segmentation("segnet")\n    return plan'
    wide.write_text(order.plan.read_text().replace("    return plan", more))
    narrow.write_text(order.plan.read_text().replace("plan.mga", "plan.other"))
    cut.write_bytes(first.read_bytes()[:2000])
    with tarfile.open(empty, "w:xz"):
        pass
    rate = "--config.unet.optimiser.learning_rate=0.5"
    for changes, error, message in (
        ({"folds": 3}, ConfigError, "folds is 2 there and 3 here"),
        ({"budget": "minutes"}, ConfigError, "budget is smoke there and minutes here"),
        ({"overrides": (rate,)}, ConfigError, r"unet.optimiser.learning_rate is \S+ there and 0.5"),
        ({"plan": narrow}, ConfigError, "has mga, which is not in the plan"),
        ({"plan": wide}, ConfigError, "has no segnet, which is in the plan"),
        ({"earlier": tmp_path / "no"}, DataError, "--earlier .*/no: cannot be read"),
        ({"earlier": cut}, DataError, "cut.xz: cannot be read"),
        ({"earlier": empty}, DataError, "empty.xz: no archive of finished seeds"),
    ):
        changed = replace(order, **{"earlier": first, **changes})
        with pytest.raises(error, match=message):
            stages.Chain(changed, build=lambda *_, **__: phantom)


def test_a_seed_that_a_network_did_not_finish_is_not_kept(tmp_path: Path) -> None:
    config = segmentation("unet")
    runs = [PlannedRun(f"seed {seed}", seed, config, tmp_path / f"{seed}", "") for seed in (0, 1)]
    arms = [Arm("unet", start, "U-Net") for start in Start]
    partial = {arms[0]: {0: runs[:1], 1: runs[1:]}, arms[1]: {0: runs[:1]}}
    path = keep_seeds(FinishedSeeds(partial), identity={}, out=tmp_path)
    assert path is not None
    folder = tmp_path / "runs"
    kept = read_seeds(path, identity={}, networks={"unet": config}, folder=folder)
    assert kept.seeds == {0}
    assert keep_seeds(FinishedSeeds({arms[0]: {}}), identity={}, out=tmp_path) is None
