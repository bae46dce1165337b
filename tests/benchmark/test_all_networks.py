"""Every shipped network through a TPU's and a GPU's compiler. Skips where a compiler is absent."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TPU = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="needs the extra [aot-tpu]"
)
GPU = pytest.mark.skipif(
    all(importlib.util.find_spec(f"jax_cuda{n}_plugin") is None for n in (12, 13)),
    reason="needs the extra [aot-gpu]",
)
NETWORKS = {
    "resnet18": "classification/resnet18",
    "resnet18_cbam": "classification/resnet18_cbam",
    "mga_resnet18": "classification/mga_resnet18",
    "resnet50": "classification/resnet50",
    "densenet121": "classification/densenet121",
    "unet": "segmentation/unet",
    "segnet": "segmentation/segnet",
    "deeplabv3_resnet50": "segmentation/deeplabv3",
    "hmsanet": "segmentation/hmsanet",
}
"""By the model's name: all of `mgajax.models`, each at its full width and depth."""
OPTIONS = {"hmsanet": ("--config.model.options.repeats=scanned",)}
"""Unrolled it compiles for much longer."""
SIDE = 64
"""Layers and types are those of the real size; only maps are smaller, and so is the time."""


@pytest.mark.slow(finds="a network whose train step a TPU's or GPU's compiler does not take")
@pytest.mark.parametrize(
    "target", [pytest.param("v5e:1x1", marks=TPU), pytest.param("h100:1", marks=GPU)]
)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_train_step_compiles_for_accelerators(name: str, target: str, tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    words = ["--config", f"configs/{NETWORKS[name]}.py", "--target", target, "--quick"]
    words += ["--only", "train", "--per_device", "2", f"--config.preparation.image_size={SIDE}"]
    command = [sys.executable, "-m", "mgajax", "benchmark", "compile", *words]
    environment = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"}
    process = subprocess.run(
        [*command, *OPTIONS.get(name, ()), "--out", str(out)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    report = json.loads(out.read_text())
    memory = report["train"]["memory"]
    assert (report["model"], report["effort"]) == (name, "quick" if "v5e" in target else "full")
    # Parameters and moments go in; gradients at least are in the way at some time.
    assert memory["needed_bytes"] > 1.2 * memory["arguments_bytes"]
    assert memory["fits"]
    assert memory["batch_that_fits"] > 2
    assert report["train"]["moved"]["bytes"] > memory["arguments_bytes"]
