"""A long run needs no more memory at its end than at its beginning."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from resumed import PATIENCE_S, start
from session import NARROW

EPOCHS = 40
SETTLED = 15
"""Epochs until caches and allocators have what they need."""

LARGEST_GROWTH = 2 * 1024**2
"""Bytes an epoch: a tenth of what one copy of the model's parameters takes."""


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def epochs_done(workdir: Path) -> int:
    path = workdir / "metrics.jsonl"
    return path.read_text().count("validation/cross_entropy") if path.exists() else 0


@pytest.mark.slow(finds="memory that each epoch keeps")
def test_memory_does_not_grow_over_epochs(phantom: Path, tmp_path: Path) -> None:
    """The median of each epoch, and a line through them."""
    words = [
        "train",
        f"--config={NARROW / 'resnet18.py'}",
        "--config.model.options.width=64",  # a narrow network's copies are lost in the noise
        f"--config.data.dir={phantom}",
        f"--workdir={tmp_path / 'run'}",
        "--config.preparation.image_size=32",
        "--config.batch_size=8",
        f"--config.epochs={EPOCHS}",
        "--config.patience=0",
        "--config.log_every=1",
    ]
    process = start(words, cache=tmp_path / "compiled")
    sizes_by_epoch: dict[int, list[int]] = {}
    end = time.monotonic() + PATIENCE_S
    while process.poll() is None:
        assert time.monotonic() < end, "too slow"
        sizes_by_epoch.setdefault(epochs_done(tmp_path / "run"), []).append(
            resident_bytes(process.pid)
        )
        time.sleep(0.05)
    _, err = process.communicate()
    assert process.returncode == 0, err
    later = {epoch: np.median(sizes) for epoch, sizes in sizes_by_epoch.items() if epoch >= SETTLED}
    assert len(later) > (EPOCHS - SETTLED) / 2, "epochs went by unseen"
    slope, _ = np.polyfit(list(later), list(later.values()), deg=1)
    assert slope < LARGEST_GROWTH, f"{slope / 1024:.0f} KiB an epoch; {later}"
