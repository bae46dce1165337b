"""The README's first command, in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow(
    finds="a first command that breaks, or learns nothing, where no test is around it"
)
def test_quickstart_learns_and_shows_what_it_made(tmp_path: Path) -> None:
    workdir = tmp_path / "quickstart"
    as_users_compile = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"}
    process = subprocess.run(
        [sys.executable, "-m", "mgajax", "quickstart", "--workdir", str(workdir)],
        env=as_users_compile,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert "COVID-19 vs rest" in process.stdout
    pooled = process.stdout.split("all pixels pooled")[1]
    assert float(pooled.split("Dice")[1].split()[0]) > 0.4, "a mask of everything reaches 0.1"
    masks = list((workdir / "masks" / "masks").glob("*.png"))
    manifest = json.loads((workdir / "masks" / "manifest.json").read_text())
    assert manifest["finished"]
    assert len(masks) == manifest["counts"]["masks"] > 100
    report = Path(process.stdout.split("report: ")[1].splitlines()[0])
    assert "ResNet18 + CBAM + MGA" in report.read_text(encoding="utf-8")
    made = [
        Path(line.strip()) for line in process.stdout.split("made:")[1].splitlines() if line.strip()
    ]
    assert len(made) >= 8
    assert all(path.stat().st_size > 0 for path in made)
    accuracy = process.stdout.split("3 classes")[1].split("accuracy")[1].split()[0]
    assert float(accuracy) > 0.45, "chance is a third"
