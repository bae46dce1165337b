"""Table 3 as one command: every run of the plan, then one comparison."""

import json
from pathlib import Path

import pytest
from pretended_runs import no_data

from mgajax.experiments.experiment import Order, run_experiment

PLAN = """
from mgajax.config import segmentation
from ml_collections import ConfigDict


def get_config():
    plan = ConfigDict({name: segmentation(name) for name in ("unet", "hmsanet")})
    for config in plan.values():
        config.preparation.image_size = 32
        config.batch_size = 4
        config.max_steps = 1
        config.devices = 1
    plan.hmsanet.model.options.trunk = "hrnet_tiny"
    return plan
"""


@pytest.mark.slow(finds="segmenters whose runs do not fit together in one comparison")
def test_trains_evaluates_compares_and_resumes(phantom: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.py"
    plan.write_text(PLAN)
    order = Order(name="table3", data=phantom, workdir=tmp_path / "table3", plan=plan)
    outcome = run_experiment(order, draw=no_data)
    assert outcome is not None
    assert not outcome.failed
    assert {path.name for path in outcome.files} == {
        *("table3.md", "table3.json", "table3.png", "fig7.png"),
        *("results.md", "results.csv", "results.json"),
    }
    written = json.loads((order.workdir / "table3.json").read_text())
    assert list(written["models"]) == ["hmsanet", "unet"], "the proposed model comes first"
    results = json.loads((order.workdir / "results.json").read_text())
    dice = next(row for row in results["rows"] if (row["name"], row["metric"]) == ("U-Net", "Dice"))
    assert dice["value"] == written["models"]["unet"]["pooled"]["dice"]
    assert dice["paper"] == pytest.approx(0.7017)
    places = [order.workdir / run["folder"] / "config.json" for run in results["runs"]]
    before = [place.stat().st_mtime_ns for place in places]
    again = run_experiment(order, draw=no_data)
    assert again is not None
    assert again.table == outcome.table
    assert [place.stat().st_mtime_ns for place in places] == before
