"""What the README shows must run, and what texts name must be there."""

import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_the_python_example_runs() -> None:
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert code is not None
    names = {
        "images": jnp.zeros((4, 224, 224, 1), jnp.float32),
        "labels": np.array([0, 1, 2, 1]),
        "patients": ["a", "b", "c", "d"],
    }
    exec(code.group(1), names)
    assert names["metrics"]["n"] == 4
    assert names["output"].attention["stage3"].shape == (4, 14, 14, 1)
    assert "layer3.1.cbam.sa.conv1.weight" in names["state_dict"]


TEXTS = (
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/explanation/architecture.md",
    "docs/explanation/testing.md",
)


@pytest.mark.parametrize("name", TEXTS)
def test_every_file_that_it_names_exists(name: str) -> None:
    text = (ROOT / name).read_text()
    for place in re.findall(r"(?:configs|docs|tests|tfds_builders|mgajax)/[\w/.]+\w", text):
        assert (ROOT / place).exists(), place
