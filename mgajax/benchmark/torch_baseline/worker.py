"""The PyTorch side as a process: `python -m mgajax.benchmark.torch_baseline.worker FOLDER DEVICE`.

It reads one JSON object a line from stdin and answers each by one on stdout:

    {"do": "prepare", "kind": "train", "mode": "compiled"}  builds that step and takes a few
    {"do": "run", "steps": 5}                               takes steps, and tells the seconds of each
    {"do": "peak"}                                          the device's peak of allocated bytes

It ends when the input does. A request that fails is answered by {"failed": "..."}.
"""

import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import torch

from mgajax.benchmark.torch_baseline.job import read_job
from mgajax.benchmark.torch_baseline.stepping import WARM_UP_STEPS, Stepper, allow_tf32, modes_for

TRIAL_STEPS = 3
"""Steps after the warm-up by which modes are compared."""


class Worker:
    """Holds at most one step at a time, so that modes do not take each other's memory."""

    def __init__(self, folder: Path, device: str) -> None:
        self.job, self.weights, self.batch = read_job(folder)
        self.device = device
        self.stepper: Stepper | None = None
        torch.set_num_threads(self.job.threads)
        allow_tf32()

    def greeting(self) -> dict[str, Any]:
        """PyTorch's version, the device, threads and modes."""
        gpu = torch.cuda.get_device_name() if self.device == "cuda" else None
        return {
            "torch": torch.__version__,
            "device": gpu or "cpu",
            "threads": torch.get_num_threads(),
            "modes": modes_for(self.device),
        }

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request."""
        if request["do"] == "prepare":
            return self._prepare(kind=request["kind"], mode=request["mode"])
        if request["do"] == "peak":
            peak = torch.cuda.max_memory_allocated() if self.device == "cuda" else None
            return {"peak_bytes": peak}
        if self.stepper is None:
            raise RuntimeError("prepare a step first")
        return {"seconds": self.stepper.run(request["steps"])}

    def _prepare(self, *, kind: str, mode: str) -> dict[str, Any]:
        self.stepper = None
        torch._dynamo.reset()
        if self.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        began = time.perf_counter()
        stepper = Stepper(
            self.job,
            weights=self.weights,
            batch=self.batch,
            kind=kind,
            mode=mode,
            device=self.device,
        )
        stepper.run(1)
        first_s, loss = time.perf_counter() - began, float(stepper.loss)
        stepper.run(WARM_UP_STEPS - 1)
        trial = stepper.run(TRIAL_STEPS)
        self.stepper = stepper
        return {
            "first_step_s": first_s,
            "first_loss": loss if kind == "train" else None,
            "trial_ms": 1e3 * statistics.median(trial),
        }


def serve(worker: Worker, *, requests: TextIO, answers: TextIO) -> None:
    """Answer until the requests end."""
    print(json.dumps(worker.greeting()), file=answers, flush=True)
    for line in requests:
        try:
            answer = worker.answer(json.loads(line))
        except Exception as error:  # a mode that does not work here is a finding
            answer = {"failed": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
        print(json.dumps(answer), file=answers, flush=True)


def main() -> None:
    """Serve on stdin and stdout; whatever else is printed goes to stderr."""
    folder, device = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(Worker(Path(folder), device), requests=sys.stdin, answers=answers)


if __name__ == "__main__":
    main()
