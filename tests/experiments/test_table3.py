"""Table 3 as one command: every run of the plan, then one comparison."""

import json
from pathlib import Path

import pytest

from mgajax.experiments.table3 import run_table3

PLAN = """
from configs.experiments import table3
from ml_collections import ConfigDict


def get_config():
    full = table3.get_config()
    plan = ConfigDict({name: full[name] for name in ("unet", "hmsanet")})
    for config in plan.values():
        config.preparation.image_size = 32
        config.batch_size = 4
        config.max_steps = 1
        config.devices = 1
    plan.hmsanet.model.options.trunk = "hrnet_tiny"
    return plan
"""


@pytest.mark.slow
def test_trains_evaluates_and_compares_and_goes_on(phantom: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.py"
    plan.write_text(PLAN)
    workdir = tmp_path / "table3"
    done = run_table3(data=phantom, workdir=workdir, plan=plan)
    assert done is not None
    assert {path.name for path in done.files} == {
        "table3.md",
        "table3.json",
        "table3.png",
        "fig7.png",
    }
    written = json.loads((workdir / "table3.json").read_text())
    assert list(written["models"]) == ["hmsanet", "unet"], "the proposed model comes first"
    before = (workdir / "unet" / "config.json").read_bytes()
    again = run_table3(data=phantom, workdir=workdir, plan=plan)
    assert again is not None
    assert again.table == done.table
    assert (workdir / "unet" / "config.json").read_bytes() == before
