"""From a plan to runs: arms × seeds, budgets, overrides, and which runs are the same."""

from pathlib import Path

import pytest

from mgajax.errors import ConfigError
from mgajax.experiments import datasets
from mgajax.experiments.budgets import BUDGETS, chosen_budget
from mgajax.experiments.datasets import DataSets
from mgajax.experiments.plan import plan_runs

PLANS = Path("configs/experiments")


@pytest.fixture
def data(phantom: Path, tmp_path: Path) -> DataSets:
    """Every drawn set is the same one."""
    return DataSets(built=None, draw=lambda *_, **__: phantom, folder=tmp_path, phantom={})


def planned(data: DataSets, folder: Path, *, plan: str = "table5", budget: str = "smoke", **more):
    options = {"seeds": (0, 1), **more}
    return plan_runs(
        PLANS / f"{plan}.py", budget=BUDGETS[budget], data=data, folder=folder, **options
    )


def test_runs_come_seed_by_seed_with_the_budget_and_the_overrides(data: DataSets, tmp_path: Path):
    plan = planned(data, tmp_path, overrides=["--config.stage2.epochs=7"]).runs
    assert [(run.arm, run.seed) for run in plan] == [
        ("stage1", 0),
        ("stage2", 0),
        ("stage3", 0),
        ("stage1", 1),
        ("stage2", 1),
        ("stage3", 1),
    ]
    assert [run.config.epochs for run in plan[:3]] == [1, 7, 1]
    assert {run.config.preparation.image_size for run in plan} == {32}
    assert len({run.folder for run in plan}) == 6


def test_the_full_budget_changes_nothing(data: DataSets, tmp_path: Path) -> None:
    run = planned(data, tmp_path, budget="full").runs[0]
    assert (run.config.preparation.image_size, run.config.epochs) == (224, 100)


def test_seeds_are_added_to_the_plans_own(data: DataSets, tmp_path: Path) -> None:
    plan = planned(data, tmp_path, overrides=["--config.stage1.seed=5"]).runs
    assert [run.seed for run in plan if run.arm == "stage1"] == [5, 6]


def test_equal_runs_of_two_plans_have_one_folder(
    data: DataSets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "predicted_masks", lambda *_, folder, **__: folder)

    def folder(plan: str, arm: str, *overrides: str) -> Path:
        runs = planned(data, tmp_path, plan=plan, overrides=overrides).runs
        return next(run.folder for run in runs if run.arm == arm)

    same = folder("table4", "mga_resnet18")
    assert folder("table5", "stage3") == same
    assert folder("ablations", "proposed") == same
    assert folder("shortcut", "mga_0") == same, "the data's content counts, not how it is named"
    assert folder("table4", "mga_resnet18", "--config.mga_resnet18.parallel=jit") == same
    place = "--config.mga_resnet18.checkpoint_dir=elsewhere"
    assert folder("table4", "mga_resnet18", place) == same, "where checkpoints lie changes nothing"
    assert folder("table4", "mga_resnet18", "--config.mga_resnet18.batch_size=9") != same
    assert folder("table5", "stage1") != same


def test_arms_that_need_drawn_data_are_listed_apart(phantom: Path, tmp_path: Path) -> None:
    data_sets = DataSets(built=phantom, draw=lambda *_, **__: phantom, folder=tmp_path, phantom={})
    plan = planned(data_sets, tmp_path, plan="ablations")
    assert set(plan.impossible) == {"masks_half", "masks_predicted", "masks_predicted_soft"}
    assert "annotated=0.5" in plan.impossible["masks_half"]
    assert not any(run.arm in plan.impossible for run in plan.runs)


def test_a_budgets_name_is_checked() -> None:
    with pytest.raises(ConfigError, match="did you mean 'small'"):
        chosen_budget("smal")
