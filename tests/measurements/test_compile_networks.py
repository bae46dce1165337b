"""`docs/measurements/compile_networks.py`: its commands, and what becomes of a row. Compiles nothing."""

import sys
from pathlib import Path

import pytest
from measurement_scripts import load_script

from mgajax import config as configs
from mgajax.cli import make_parser

script = load_script("compile_networks")
UNET = script.Row("unet", "float32", "train", "v5e:1x1", 4)


@pytest.mark.parametrize("network", script.CONFIGS)
def test_a_rows_command_is_one_that_mgajax_knows(network: str) -> None:
    row = script.Row(network, "bfloat16", "train", "h100:1", 2)
    options, overrides = make_parser().parse_known_args(row.words())
    config = configs.load(script.ROOT / options.config, overrides=overrides)
    assert config.model.dtype == "bfloat16"
    assert (options.target, options.per_device, options.only) == ("h100:1", 2, "train")


def test_a_row_that_takes_too_long_is_killed_and_reported(tmp_path: Path) -> None:
    row = script.run_row(UNET, most_s=0.0, log=tmp_path / "log")
    assert row["failed"] == "killed after 0 s"
    assert row["command"].startswith(
        "mgajax benchmark compile --config configs/segmentation/unet.py"
    )


def test_a_row_that_fails_keeps_its_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter = tmp_path / "python"
    interpreter.write_text("#!/bin/sh\necho first\necho 'mgajax: no such extra' >&2\nexit 2\n")
    interpreter.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    row = script.run_row(UNET, most_s=60.0, log=tmp_path / "log")
    assert row["failed"] == "mgajax: no such extra"
    assert "  unet: mgajax: no such extra" in script.lines_of({"unet": row})


def test_the_batch_that_fits_is_listed_for_other_chips_of_the_maker() -> None:
    memory = {"arguments_bytes": 2_000_000_000, "needed_bytes": 4_000_000_000, "batch_that_fits": 7}
    batches = script._that_fit(memory, images=1, target="v5e:1x1")
    assert batches.startswith("v5e 7, v6e ")
    assert int(batches.rpartition(" ")[2]) > 7
