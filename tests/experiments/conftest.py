"""A chain of real slices whose runs are pretended."""

from pathlib import Path

import pytest
from pretended_chain import PLAN, PretendedTraining, attribute
from unrendered import leave_blank

from mgajax.data.table import read_table
from mgajax.experiments.real import attributions
from mgajax.experiments.real import chain as stages
from mgajax.experiments.real.order import RealOrder


@pytest.fixture
def training(phantom: Path, monkeypatch: pytest.MonkeyPatch) -> PretendedTraining:
    """Replaces training, attribution and figures."""
    leave_blank(monkeypatch)
    pretended = PretendedTraining(read_table(phantom), finished=[])
    monkeypatch.setattr(stages, "run_all", pretended.run_all)
    monkeypatch.setattr(attributions, "attribute_slices", attribute)
    return pretended


@pytest.fixture
def order(tmp_path: Path) -> RealOrder:
    """The smallest budget of a plan of four small networks, two seeds."""
    plan = tmp_path / "plan.py"
    plan.write_text(PLAN)
    return RealOrder(workdir=tmp_path / "out", plan=plan, budget="smoke", seeds=2)
