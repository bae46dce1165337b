"""`mgajax tune`: Bayesian optimisation of a configuration's keys, on the validation slices alone.

A trial is one training run; its value is a validation metric at its best checkpoint. The test set is
not touched: `mgajax evaluate` uses it once, for the chosen configuration. Trial k is suggested from
trials 0 … k-J, where J trials run at a time, in whatever order they end: the same seed and J give the
same search.
"""

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from mgajax import config as configs
from mgajax.distributed.supervision import run_in_slots
from mgajax.errors import ConfigError
from mgajax.experiments.tune_files import write_results
from mgajax.experiments.tune_space import SECTION, Space, overrides, read_space
from mgajax.experiments.tune_suggest import PriorTrial, suggest
from mgajax.experiments.tune_trials import (
    ProcessStarter,
    Trial,
    TrialInProcess,
    begin,
    end,
    process_starter,
    read_trial,
)
from mgajax.locks import locked
from mgajax.progress import say
from mgajax.training.config_checks import check_settings

GOALS = ("minimise", "maximise")
CONFIG_FILE, LOCK_FILE, TRIALS = "base.json", ".tuning", "trials"


@dataclass(frozen=True)
class SearchPlan:
    """The settings of a search.

    Attributes:
      file: the configuration's.
      words: `--config.key=value` of every trial.
      workdir: gets the trials and the results.
      config: of trial 0.
      space: of the other trials.
      trials: how many in all.
      jobs: how many at a time.
    """

    file: Path
    words: tuple[str, ...]
    workdir: Path
    config: ConfigDict
    space: Space
    trials: int
    jobs: int

    @property
    def sign(self) -> float:
        """1 if the metric is to be maximised, -1 if minimised."""
        return -1.0 if self.config[SECTION].goal == "minimise" else 1.0

    def base(self) -> list[str]:
        """The words that the commands of all trials share."""
        return ["--config", str(self.file), *self.words]

    def command(self, trial: Trial, *, workdir: str) -> str:
        """The command line that trains the trial's configuration."""
        words = [*self.base(), *overrides(trial.point), "--workdir", workdir]
        return shlex.join(["mgajax", "train", *words])


@dataclass(frozen=True)
class SearchResults:
    """The results of a search so far.

    Attributes:
      search: its settings.
      trials: those that are over, by number.
      best: the best of them; None while none is finished.
      files: the files that were written.
      finished: whether all trials are over.
    """

    search: SearchPlan
    trials: tuple[Trial, ...]
    best: Trial | None
    files: tuple[Path, ...]
    finished: bool


def tune(
    file: Path,
    *,
    workdir: Path,
    trials: int,
    jobs: int = 1,
    words: Sequence[str] = (),
    start: ProcessStarter | None = None,
) -> SearchResults:
    """Search, or resume a search: trials that are over are not repeated, and started ones resume.

    Args:
      file: a configuration with a `search` section, as `configs/tuning/mga_resnet18.py`.
      workdir: gets `trials/`, and the results: see `tune_files.write_results`.
      trials: how many in all; more than before prolong the search.
      jobs: trials at a time, which share out the GPUs or the cores.
      words: `--config.key=value` for every trial.
      start: starts a trial's process; by default `mgajax train`.

    Raises:
      ConfigError: an unusable setting or space, or `workdir` holds another search.
    """
    search = _search(file, words=words, workdir=workdir, trials=trials, jobs=jobs)
    workdir.mkdir(parents=True, exist_ok=True)
    busy = f"{workdir}: another process is tuning there; wait for it, or use another --workdir"
    with locked(workdir / LOCK_FILE, guards=str(workdir), refusal=busy):
        _check_same_search(search)
        known = _read_trials(search)
        _run(search, known, starter=start or process_starter(jobs))
    over = tuple(trial for _, trial in sorted(known.items()) if trial.is_over)
    best = _best(search, over)
    files = write_results(
        over,
        best=best,
        workdir=workdir,
        settings=search.config[SECTION],
        content=_content(search, over, best),
    )
    return SearchResults(search, over, best, files, finished=len(over) >= trials)


def _search(
    file: Path, *, words: Sequence[str], workdir: Path, trials: int, jobs: int
) -> SearchPlan:
    config = configs.load(file, overrides=words)
    space = read_space(config)
    check_settings(config)
    settings = config[SECTION]
    if settings.goal not in GOALS:
        raise ConfigError(f"config.search.goal={settings.goal!r}: expected {' or '.join(GOALS)}")
    for name, value in {
        "--trials": trials,
        "--jobs": jobs,
        "config.search.initial": settings.initial,
    }.items():
        if value < 1:
            raise ConfigError(f"{name} {value}: expected at least 1")
    return SearchPlan(file, tuple(words), workdir, config, space, trials, jobs)


def _check_same_search(search: SearchPlan) -> None:
    file = search.workdir / CONFIG_FILE
    if file.exists():
        old, _ = configs.read(file)
        configs.assert_same_run(search.config, old=old, workdir=search.workdir)
    else:
        configs.write(search.config, file, extra={})


def _read_trials(search: SearchPlan) -> dict[int, Trial]:
    trials = (read_trial(folder) for folder in sorted((search.workdir / TRIALS).glob("*")))
    known = {trial.number: trial for trial in trials if trial is not None}
    if known:
        over = sum(trial.is_over for trial in known.values())
        say(f"{search.workdir}: {over} trials are over and count")
    return known


def _run(search: SearchPlan, known: dict[int, Trial], *, starter: ProcessStarter) -> None:
    """Run all trials to the end, or stop all on a signal; `known` is kept up to date."""
    waiting = [number for number in range(search.trials) if not _is_over(known, number)]

    def begin_next(slot: int) -> TrialInProcess | None:
        if not waiting or not _may_begin(search, known, waiting[0]):
            return None
        return _begin(search, known, waiting.pop(0), starter=starter, slot=slot)

    def end_trial(work: TrialInProcess, code: int, stopped: bool) -> None:
        trial = _end(search, known, work, code=code, stopped=stopped)
        if not trial.is_over:  # someone stopped this process alone
            waiting.insert(0, trial.number)

    run_in_slots(search.jobs, begin=begin_next, end=end_trial)


def _begin(
    search: SearchPlan, known: dict[int, Trial], number: int, *, starter: ProcessStarter, slot: int
) -> TrialInProcess:
    trial = known.get(number) or _suggest_trial(search, known, number)
    known[number] = trial.write()
    point = ", ".join(f"{key}={value:g}" for key, value in trial.point.items())
    say(f"trial {number} of {search.trials}: {point}")
    return begin(trial, [*search.base(), *overrides(trial.point)], starter=starter, slot=slot)


def _end(
    search: SearchPlan, known: dict[int, Trial], work: TrialInProcess, *, code: int, stopped: bool
) -> Trial:
    trial = end(work, code=code, metric=search.config[SECTION].metric, stopped=stopped)
    known[trial.number] = trial
    if trial.status == "failed":
        say(f"trial {trial.number} failed: {trial.reason}")
    best = _best(search, list(known.values()))
    if trial.value is not None and best is not None:
        say(f"trial {trial.number}: {trial.value:.4f}; best {best.value:.4f} (trial {best.number})")
    return trial


def _is_over(known: dict[int, Trial], number: int) -> bool:
    return number in known and known[number].is_over


def _may_begin(search: SearchPlan, known: dict[int, Trial], number: int) -> bool:
    """Whether the trials that this one is suggested from are over."""
    return all(_is_over(known, earlier) for earlier in range(number - search.jobs + 1))


def _suggest_trial(search: SearchPlan, known: dict[int, Trial], number: int) -> Trial:
    folder = search.workdir / TRIALS / f"{number:03d}"
    settings = search.config[SECTION]
    if number == 0:
        flat = configs.flatten(search.config)
        point = {dimension.key: flat[dimension.key] for dimension in search.space.dimensions}
        return Trial(number, folder, point)
    trials = [
        _prior_trial(search, known[earlier], may_know=earlier <= number - search.jobs)
        for earlier in range(number)
    ]
    point = suggest(
        search.space, trials, number=number, initial=settings.initial, seed=settings.seed
    )
    return Trial(number, folder, point)


def _prior_trial(search: SearchPlan, trial: Trial, *, may_know: bool) -> PriorTrial:
    if not (may_know and trial.is_over):
        return PriorTrial(trial.point, gain=None)
    gain = None if trial.value is None else search.sign * trial.value
    return PriorTrial(trial.point, gain=gain, failed=trial.status == "failed")


def _best(search: SearchPlan, trials: Sequence[Trial]) -> Trial | None:
    """The best finished trial; of equal ones the first."""
    finished = [trial for trial in trials if trial.value is not None]
    return max(finished, key=lambda trial: search.sign * (trial.value or 0.0), default=None)


def _content(search: SearchPlan, trials: Sequence[Trial], best: Trial | None) -> dict[str, Any]:
    settings = search.config[SECTION]
    counts = Counter(trial.status for trial in trials)
    return {
        "objective": f"{settings.goal} validation/{settings.metric} at the best checkpoint",
        "counts": dict(sorted(counts.items())),
        "trials_asked_for": search.trials,
        "jobs": search.jobs,
        "default": trials[0].value if trials and trials[0].number == 0 else None,
        "best": best.to_json() if best else None,
        "command": search.command(best, workdir=str(search.workdir / "best")) if best else None,
        "space": configs.flatten(settings.space),
        "config": str(search.file),
        "overrides": list(search.words),
        "provenance": configs.provenance(),
        "trials": [trial.to_json() for trial in trials],
    }
