"""The job that mgajax gives to PyTorch: a folder with `job.json`, `weights.npz` and `batch.npz`."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

JOB, WEIGHTS, BATCH = "job.json", "weights.npz", "batch.npz"


@dataclasses.dataclass(frozen=True)
class TorchJob:
    """A network and how it is trained; JSON types only.

    Attributes:
      family: a key of `mgajax.benchmark.torch_baseline.registry.FAMILIES`.
      dimensions: arguments of that family's network.
      dtype: "float32", "bfloat16" (by autocast), or "float64" for checking gradients.
      task: "classification" or "segmentation".
      loss: the fields of `config.loss`.
      learned: terms whose weights are learned (paper Eq. 6), or none.
      guided: name of the attention map that the masks supervise, or None.
      optimiser: the fields of `config.optimiser`; the rate stays at its first value.
      grey_scale: factor of a uint8 pixel in its standardised value.
      grey_shift: what is subtracted then.
      threads: of the CPU.
    """

    family: str
    dimensions: dict[str, Any]
    dtype: str
    task: str
    loss: dict[str, Any]
    learned: tuple[str, ...]
    guided: str | None
    optimiser: dict[str, Any]
    grey_scale: float
    grey_shift: float
    threads: int


def write_job(
    folder: Path,
    job: TorchJob,
    *,
    weights: Mapping[str, np.ndarray],
    batch: Mapping[str, np.ndarray],
) -> None:
    """Write the job, the weights by PyTorch's names, and the batch of `mgajax.data.loader.Batch`."""
    (folder / JOB).write_text(json.dumps(dataclasses.asdict(job), indent=2) + "\n")
    np.savez(folder / WEIGHTS, **weights)  # type: ignore[arg-type]
    np.savez(folder / BATCH, **batch)  # type: ignore[arg-type]


def read_job(folder: Path) -> tuple[TorchJob, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The job, the weights and the batch that `write_job` wrote."""
    fields = json.loads((folder / JOB).read_text())
    job = TorchJob(**(fields | {"learned": tuple(fields["learned"])}))
    arrays = []
    for name in (WEIGHTS, BATCH):
        with np.load(folder / name) as file:
            arrays.append({key: file[key] for key in file.files})
    return job, arrays[0], arrays[1]
