"""Trials that train nothing: what a training would leave follows from the searched keys."""

import json
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

CONFIG = """
from mgajax.config import add_search, classification


def get_config():
    config = classification("mga_resnet18")
    config.data.dir = "nowhere"
    space = {"optimiser": {"learning_rate": (1e-5, 1e-1, "log")}, "batch_size": (4, 64, "log")}
    config = add_search(config, space)
    config.search.initial = 4
    return config
"""

Worth = Callable[[dict[str, float]], float | None]
"""From the searched keys to the validation cross-entropy; None for a training that fails."""


@dataclass
class FakeProcess:
    """A process that ended at once, or never ends by itself."""

    code: int | None

    def poll(self) -> int | None:
        return self.code

    def send_signal(self, number: int) -> None:
        assert number == signal.SIGTERM
        self.code = 0

    def kill(self) -> None:
        self.code = -signal.SIGKILL


@dataclass
class Starter:
    """Counts what it starts, and how many are under way."""

    worth: Worth
    started: list[str] = field(default_factory=list)

    def __call__(self, words: Sequence[str], output: Path, slot: int) -> FakeProcess:
        assert words[0] == "train"
        run = Path(words[words.index("--workdir") + 1])
        self.started.append(run.parent.name)
        keys = dict(word.removeprefix("--config.").split("=") for word in words if "=" in word)
        searched = {key: float(text) for key, text in keys.items() if not key.startswith("search.")}
        value = self.worth(searched)
        if value is None:
            output.write_text("training\nstep 3: loss is nan; training stopped\n")
            return FakeProcess(1)
        summary = {"finished": True, "steps": 8, "best_step": 4}
        rows = [
            {"step": 4, "validation/cross_entropy": value, "validation/accuracy": 1 - value / 10},
            {"step": 8, "validation/cross_entropy": value + 1, "validation/accuracy": 1.0},
        ]
        run.mkdir(parents=True, exist_ok=True)
        (run / "summary.json").write_text(json.dumps(summary))
        (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return FakeProcess(0)
