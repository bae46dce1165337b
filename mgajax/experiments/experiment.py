"""One experiment from plan to results: runs, numbers, tables, figures."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mgajax import config as configs
from mgajax.errors import ConfigError, nearest
from mgajax.experiments.budgets import Budget, chosen_budget
from mgajax.experiments.datasets import DataSets, Draw
from mgajax.experiments.execution import RunOutcome, RunStatus, peak_memory_of, seconds_of
from mgajax.experiments.plan import PlannedRun, RunPlan, plan_runs
from mgajax.experiments.predictions_archive import keep_predictions
from mgajax.experiments.results_page import results_page
from mgajax.experiments.runner import run_all
from mgajax.experiments.significance import read_runs
from mgajax.experiments.studies import STUDIES
from mgajax.experiments.study import Study, StudyInput, StudyResults
from mgajax.files import write_csv, write_json, write_text
from mgajax.reporting.tables.measurements import csv_lines, markdown_tables

RESULTS = "results"
"""Name of the JSON, Markdown and CSV files."""


@dataclass(frozen=True)
class Order:
    """The settings of an experiment.

    Attributes:
      name: of the study.
      workdir: gets the results.
      runs: gets runs and drawn data. Experiments with the same folder share equal runs. None: in
        `workdir`.
      data: a built data set; None: slices are drawn.
      budget: one of `budgets.BUDGETS`; None: `full` with a data set, `small` without.
      seeds: how many seeds each arm gets; None: the budget's.
      jobs: runs at a time.
      plan: a file of runs in place of the study's.
      compare: folders of finished runs, for `significance` in place of its plan.
      split: a CSV of who is in which split, for `dataset`.
      overrides: `--config.ARM.key=value`.
    """

    name: str
    workdir: Path
    runs: Path | None = None
    data: Path | None = None
    budget: str | None = None
    seeds: int | None = None
    jobs: int = 1
    plan: Path | None = None
    compare: Sequence[Path] = ()
    split: Path | None = None
    overrides: Sequence[str] = ()

    @property
    def study(self) -> Study:
        """The study of that name.

        Raises:
          ConfigError: no such study.
        """
        if self.name not in STUDIES:
            raise ConfigError(f"experiment {self.name}: {nearest(self.name, list(STUDIES))}")
        return STUDIES[self.name]

    @property
    def budget_name(self) -> str:
        """The name of the chosen budget, or of the default one."""
        return self.budget or ("full" if self.data else "small")

    @property
    def settings(self) -> Budget:
        """The budget's settings for this study."""
        budget = chosen_budget(self.budget_name)
        fits = self.plan is None and self.budget_name != "full" and self.study.drawn_plan
        settings = {} if fits else budget.settings
        seeds = budget.seeds if self.seeds is None else self.seeds
        seeds = seeds if self.study.seeds is None else min(seeds, self.study.seeds)
        return replace(budget, settings=settings, seeds=seeds)

    @property
    def plan_file(self) -> Path:
        """The file of runs."""
        if self.plan is not None:
            return self.plan
        drawn = self.study.drawn_plan if self.budget_name != "full" else ""
        return Path(drawn or self.study.plan)

    @property
    def folder(self) -> Path:
        """The folder of runs and drawn data."""
        return self.runs or self.workdir / "runs"

    def command(self) -> str:
        """The command line with the same settings."""
        words = ["mgajax experiment", self.name, f"--workdir {self.workdir}"]
        options: dict[str, Any] = {"runs": self.runs, "data": self.data, "plan": self.plan}
        options |= {"compare": " ".join(map(str, self.compare)), "split": self.split}
        if not self.compare and (self.study.plan or not self.data):
            options |= {"budget": self.budget_name, "seeds": self.seeds}
        words += [f"--{key} {value}" for key, value in options.items() if value]
        return " ".join([*words, *self.overrides])


@dataclass(frozen=True)
class ExperimentResults:
    """The results of an experiment.

    Attributes:
      table: its tables in Markdown.
      files: what was written.
      failed: runs that failed, `arm, seed N: reason`.
    """

    table: str
    files: tuple[Path, ...]
    failed: tuple[str, ...]


def run_experiment(order: Order, *, draw: Draw) -> ExperimentResults | None:
    """Do all runs of a study, then measure, and write the results into its folder.

    The same call resumes where it was stopped, and repeats no finished run.

    Args:
      order: the settings of the experiment.
      draw: draws a phantom, see `datasets.Draw`.

    Returns:
      None when stopped by a signal.

    Raises:
      ConfigError: an unknown study or budget, an unusable plan or override, too few runs given.
      DataError: a data set that cannot be read.
    """
    for option, count in (("--seeds", order.seeds), ("--jobs", order.jobs)):
        if count is not None and count < 1:
            raise ConfigError(f"{option} {count}: expected at least 1")
    if order.compare and not order.study.takes_runs:
        raise ConfigError(f"--compare is for `significance`; {order.name} makes its own runs")
    data = DataSets(
        built=order.data,
        draw=draw,
        folder=order.folder / "data",
        phantom=order.settings.phantom,
    )
    planned = _plan(order, data)
    outcomes = read_runs(order.compare) if order.compare else run_all(planned.runs, jobs=order.jobs)
    if any(outcome.status == RunStatus.STOPPED for outcome in outcomes):
        return None
    order.workdir.mkdir(parents=True, exist_ok=True)
    finished = _study_input(order, planned, outcomes, data)
    if finished.missing and not finished.arms:
        reasons = [f"{arm}: {status} ({why})" for arm, (status, why) in finished.missing.items()]
        results = StudyResults([], notes=reasons)
    else:
        results = order.study.examine(finished)
        if archive := keep_predictions(finished):
            results = replace(results, files=[*results.files, archive])
    return write_results(order, results, outcomes)


def _plan(order: Order, data: DataSets) -> RunPlan:
    """The study's runs; none where it trains nothing or takes finished runs."""
    if order.compare or not order.study.plan:
        return RunPlan((), {}, {})
    return plan_runs(
        order.plan or configs.shipped_file(order.plan_file),
        budget=order.settings,
        seeds=range(order.settings.seeds),
        data=data,
        folder=order.folder,
        overrides=order.overrides,
    )


def _study_input(
    order: Order, planned: RunPlan, outcomes: Sequence[RunOutcome], data: DataSets
) -> StudyInput:
    arms: dict[str, dict[int, PlannedRun]] = {}
    failed: dict[str, str] = {}
    configs_by_arm = planned.configs or {
        outcome.run.arm: outcome.run.config for outcome in outcomes
    }
    for outcome in outcomes:
        if outcome.status == RunStatus.FINISHED:
            arms.setdefault(outcome.run.arm, {})[outcome.run.seed] = outcome.run
        else:
            failed[outcome.run.arm] = outcome.reason
    missing = {arm: ("not run", reason) for arm, reason in planned.impossible.items()}
    missing |= {arm: ("failed", reason) for arm, reason in failed.items() if arm not in arms}
    in_order = {arm: arms[arm] for arm in configs_by_arm if arm in arms}
    return StudyInput(order.workdir, in_order, configs_by_arm, missing, data, order.split)


def write_results(
    order: Order, results: StudyResults, outcomes: Sequence[RunOutcome]
) -> ExperimentResults:
    """Write a study's results into the experiment's folder."""
    study = order.study
    about = {
        "experiment": order.name,
        "title": study.title,
        "source": study.source,
        "command": order.command(),
        "plan": str(order.plan_file) if study.plan and not order.compare else "",
        "budget": order.budget_name,
        "data": str(order.data) if order.data else dict(order.settings.phantom),
    }
    return write_files(about, results, outcomes, out=order.workdir)


def write_files(
    about: Mapping[str, Any], results: StudyResults, outcomes: Sequence[RunOutcome], *, out: Path
) -> ExperimentResults:
    """Write `results.md` and `results.csv`, and `results.json` last: once it is there, all files are.

    Args:
      about: what `results.json` says of the experiment: `experiment`, `title`, `source`, `command`,
        `plan`, `budget` and `data`.
      results: numbers, figures and notes.
      outcomes: of all runs.
      out: the experiment's folder.
    """
    failed = tuple(
        f"{outcome.run.title}: {outcome.reason}"
        for outcome in outcomes
        if outcome.status == RunStatus.FAILED
    )
    page, table = out / f"{RESULTS}.md", out / f"{RESULTS}.csv"
    files = [page, write_csv(csv_lines(results.rows), table), *results.files, *results.figures]
    content = {
        **about,
        "seeds": sorted({outcome.run.seed for outcome in outcomes}),
        "provenance": configs.provenance(),
        "runs": [_run_entry(outcome, out) for outcome in outcomes],
        "failed": len(failed),
        "rows": [row.to_json() for row in results.rows],
        "notes": list(results.notes),
        "figures": [str(path.relative_to(out)) for path in results.figures],
        "files": [str(path.relative_to(out)) for path in files],
    }
    write_text(results_page(content), page)
    files.append(write_json(content, out / f"{RESULTS}.json"))
    return ExperimentResults(table=markdown_tables(results.rows), files=tuple(files), failed=failed)


def _run_entry(outcome: RunOutcome, out: Path) -> dict[str, Any]:
    run = outcome.run
    return {
        "arm": run.arm,
        "seed": run.seed,
        "model": run.config.model.name,
        "folder": os.path.relpath(run.folder, out),
        "status": str(outcome.status),
        "reason": outcome.reason,
        "seconds": seconds_of(run),
        "peak_memory": peak_memory_of(run),
        "fingerprint": run.fingerprint,
    }
