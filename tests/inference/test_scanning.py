"""A scan's memory does not grow with its length."""

import contextlib
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from drawn_runs import bright_run, brightness_run

from mgajax.inference.predictor import Predictor
from mgajax.inference.problems import Problems
from mgajax.inference.scanning import Settings, predict_scan
from mgajax.inference.scans import Plane, Scan, WriteMask


@dataclass
class LongScan:
    """Many planes, of which it knows how many are alive at once."""

    length: int
    name: str = "long"
    patient: str = "long"
    source: Path = Path("long")
    kind: str = "NIfTI"
    most: int = 0
    alive: weakref.WeakSet[Plane] = field(default_factory=weakref.WeakSet)

    def __len__(self) -> int:
        return self.length

    def planes(self, problems: Problems) -> Iterator[Plane]:
        for index in range(self.length):
            values = np.full((24, 24), index % 200, np.int16)
            plane = Plane(index, f"long:{index}", Path("long"), values, "HU")
            self.alive.add(plane)
            self.most = max(self.most, len(self.alive))
            yield plane

    @contextlib.contextmanager
    def masks(self, folder: Path, problems: Problems) -> Iterator[WriteMask]:
        yield lambda plane, lesion: None


def test_few_planes_are_alive_at_once(tmp_path: Path) -> None:
    scan = LongScan(length=120)
    assert isinstance(scan, Scan)
    runs = brightness_run(image_size=16), bright_run(image_size=16, devices=1)
    result = predict_scan(
        scan,
        predictor=Predictor(*runs, buckets=(4,)),
        folder=tmp_path / "long",
        settings=Settings(attribution="none", batch_size=4),
        problems=Problems(),
    )
    assert result is not None
    assert [slice_.number for slice_ in result.slices] == list(range(1, 121))
    assert scan.most <= 4 * 4
