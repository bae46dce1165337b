"""Our network as a job for PyTorch, and PyTorch as a process (`torch_baseline.worker`).

A process of its own: neither framework's threads, memory or libraries are in the other's way, and it
may be another interpreter, with PyTorch and NumPy alone.
"""

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import jax

from mgajax import interop
from mgajax.benchmark.compiled_step import StepKind, Subject, cpu_threads
from mgajax.benchmark.torch_baseline.job import TorchJob, write_job
from mgajax.config import ROOT
from mgajax.data.loader import IMAGE_MEAN, IMAGE_STD
from mgajax.distributed.supervision import describe_exit, start_with_pipes
from mgajax.errors import ConfigError
from mgajax.interop.torch_file import definition
from mgajax.progress import say
from mgajax.training.run_setup import CHANNELS, model_options
from mgajax.training.tasks import TaskName
from mgajax.training.weighting import Weighting

WORKER = "mgajax.benchmark.torch_baseline.worker"

_DEVICES = {"cpu": "cpu", "gpu": "cuda"}
"""JAX's names of platforms, and PyTorch's."""


def check_comparable(subject: Subject) -> None:
    """Refuse what the PyTorch side cannot do.

    Raises:
      ConfigError: several devices, another platform than CPU and GPU, or a loss without a peer.
    """
    config, layout = subject.config, subject.layout
    if layout.num_devices != 1:
        raise ConfigError(
            f"--peer torch on {layout.num_devices} devices: it times one; add --config.devices=1"
        )
    platform = layout.mesh.devices.flat[0].platform
    if platform not in _DEVICES:
        raise ConfigError(f"--peer torch on {platform}: it runs on a CPU or a GPU")
    if subject.settings.task.weighting != Weighting.UNCERTAINTY:
        raise ConfigError(
            f"--peer torch with loss.weighting={config.loss.weighting}: it learns log variances; "
            f"add --config.loss.weighting={Weighting.UNCERTAINTY}"
        )
    if subject.settings.task.needs_lungs:
        raise ConfigError(
            f"--peer torch with model.options.lung_stage={config.model.options.lung_stage}: it has "
            "no loss of lungs; take configs/classification/mga_resnet18.py"
        )
    if config.task == TaskName.SEGMENTATION and config.loss.kind != "cross_entropy":
        raise ConfigError(
            f"--peer torch with loss.kind={config.loss.kind}: its loss is the cross-entropy; "
            "add --config.loss.kind=cross_entropy"
        )
    if config.task == TaskName.SEGMENTATION and config.loss.dice_weight > 0:
        raise ConfigError(
            f"--peer torch with loss.dice_weight={config.loss.dice_weight}: its loss is the "
            "cross-entropy alone; add --config.loss.dice_weight=0"
        )


def make_job(subject: Subject) -> TorchJob:
    """The network, loss and optimiser of a configuration, in numbers."""
    config = subject.config
    family, dimensions = definition(subject.settings.model)
    return TorchJob(
        family=family,
        dimensions={"channels": CHANNELS, **dimensions},
        dtype=config.model.dtype,
        task=config.task,
        loss=config.loss.to_dict(),
        learned=subject.settings.task.learned,
        guided=getattr(subject.settings.model, "guided", None),
        optimiser=config.optimiser.to_dict(),
        grey_scale=1.0 / (255.0 * IMAGE_STD),
        grey_shift=IMAGE_MEAN / IMAGE_STD,
        threads=cpu_threads(),
    )


def torch_weights(subject: Subject) -> dict[str, Any]:
    """The weights of step 0 by PyTorch's names."""
    state, config = subject.state, subject.config
    variables = {"params": state.params["model"], "batch_stats": state.batch_stats}
    weights = jax.device_get(variables)
    return interop.to_torch(config.model.name, weights, **model_options(config))


class TorchProcess(contextlib.AbstractContextManager):
    """A running `torch_baseline.worker` that knows a subject's network, weights and batch.

    Attributes:
      greeting: its version, device and threads.
    """

    greeting: dict[str, Any]

    def __init__(self, subject: Subject, *, python: Path, modes: tuple[str, ...]) -> None:
        self._subject, self._python, self._modes = subject, python, modes
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "TorchProcess":
        """Start it.

        Raises:
          ConfigError: that interpreter cannot run it, or a mode is unknown.
        """
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="mgajax-")))
        batch = {key: getattr(self._subject.batch, key) for key in ("images", "masks", "labels")}
        job = make_job(self._subject)
        write_job(folder, job, weights=torch_weights(self._subject), batch=batch)
        device = _DEVICES[self._subject.layout.mesh.devices.flat[0].platform]
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        try:
            process = start_with_pipes(
                [str(self._python), "-m", WORKER, str(folder), device],
                environment={"PYTHONPATH": os.pathsep.join(paths)},
            )
        except OSError as error:
            self._stack.close()
            raise ConfigError(f"--peer_python {self._python}: {error.strerror}") from None
        self._process = self._stack.enter_context(process)
        try:
            self.greeting = self._answer()
            self._modes = self._check_modes()
        except ConfigError:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._stack.close()

    def fastest(self, kind: StepKind) -> tuple[dict[str, Any], str]:
        """Try every mode for a few steps; go on in the fastest.

        Returns:
          By mode: seconds to its first finished step (compilation included), the loss of that step
          and milliseconds a step, or why it failed; and the name of the fastest.

        Raises:
          ConfigError: none of them works.
        """
        tried: dict[str, Any] = {}
        for mode in self._modes:
            tried[mode] = self._ask(do="prepare", kind=kind, mode=mode)
            text = tried[mode].get("failed") or f"{tried[mode]['trial_ms']:.1f} ms a step"
            say(f"torch {kind}, {mode}: {text}")
        working = {mode: answer for mode, answer in tried.items() if "trial_ms" in answer}
        if not working:
            reason = tried[self._modes[0]]["failed"]
            raise ConfigError(f"--peer torch: no mode works for the {kind} step; {reason}")
        fastest = min(working, key=lambda mode: working[mode]["trial_ms"])
        if fastest != self._modes[-1]:
            again = self._ask(do="prepare", kind=kind, mode=fastest)
            if "failed" in again:
                raise ConfigError(f"--peer torch: {fastest} worked once only: {again['failed']}")
        return tried, fastest

    def run(self, steps: int) -> list[float]:
        """Seconds of each of `steps` steps.

        Raises:
          ConfigError: it could not go on.
        """
        answer = self._ask(do="run", steps=steps)
        if "failed" in answer:
            raise ConfigError(f"--peer torch: {answer['failed']}")
        seconds: list[float] = answer["seconds"]
        return seconds

    def peak_bytes(self) -> int | None:
        """The device's peak of allocated bytes in this mode; None on a CPU."""
        peak: int | None = self._ask(do="peak")["peak_bytes"]
        return peak

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the answer that does not come tells more
            print(json.dumps(request), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ConfigError(
                f"--peer torch: {self._python} {describe_exit(self._process.wait())} (its own "
                "message is above); it needs torch and numpy, name one that has by --peer_python"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _check_modes(self) -> tuple[str, ...]:
        modes = tuple(self.greeting.pop("modes"))
        unknown = set(self._modes) - set(modes)
        if unknown:
            raise ConfigError(
                f"--peer_modes {','.join(self._modes)}: here {', '.join(modes)} are known"
            )
        return self._modes or modes
