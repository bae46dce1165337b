"""`mgajax explain`: maps of a run's slices by several methods, their scores, and pictures."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Array, Float, Int

from mgajax.data.preparation import Preparation
from mgajax.errors import ConfigError, DataError, nearest
from mgajax.explanation.checks import CHECKS, Check, run_checks
from mgajax.explanation.methods import (
    BATCH,
    ExplanationTask,
    Method,
    MethodMaps,
    explain_slices,
    select_methods,
)
from mgajax.explanation.results import Explanation, write_results
from mgajax.explanation.slices import Slices, baselines_for, slices_of_files, slices_of_split
from mgajax.folders import distinct_names
from mgajax.models.outputs import has_attention
from mgajax.models.registry import CLASSIFIERS
from mgajax.schema import CLASS_NAMES, SPLITS
from mgajax.training.run import reopen_run
from mgajax.training.sharding import first_device
from mgajax.training.trained import TrainedNetwork, load_trained

TARGETS = ("predicted", "label", *CLASS_NAMES)


def explain_runs(
    workdirs: Sequence[Path],
    *,
    out: Path,
    split: str = "test",
    images: Sequence[Path] = (),
    methods: Sequence[str] = (),
    checks: Sequence[str] = (),
    baseline: str = "black",
    target: str = "predicted",
    limit: int | None = None,
    names: Sequence[str] = (),
    overrides: Sequence[str] = (),
) -> Explanation:
    """Explain the best checkpoints of one or more runs on the same slices, and write the results.

    Args:
      workdirs: classifiers' runs, made by `mgajax train`.
      out: a folder, made if needed; see `results.write_results`.
      split: of the first run; the others must have the same slices in theirs.
      images: picture files to explain instead of a split; nothing is scored then.
      methods: names in `methods.METHODS`; empty for the quick ones.
      checks: names in `checks.CHECKS`, done with every map.
      baseline: one of `slices.BASELINES`.
      target: the explained class: "predicted", "label" or a class's name.
      limit: this many slices, evenly from the split.
      names: what the runs are called; by default as much of their paths as tells them apart.
      overrides: `--config.key=value` for keys that do not change numbers.

    Raises:
      ConfigError: an unknown method, check, baseline or target, or a run that is no classifier's.
      DataError: no slices, files that cannot be read, or runs with other slices in the split.
      CheckpointError: nothing saved yet.
    """
    _check_words(target=[target], split=[split], check=checks)
    trained = {
        name: _classifier(folder, overrides=overrides)
        for name, folder in zip(names or _names(workdirs), workdirs, strict=True)
    }
    methods_by_model = {
        name: select_methods(tuple(methods), has_attention=has_attention(network.model))
        for name, network in trained.items()
    }
    slices = _slices(
        workdirs, trained, split=split, images=images, limit=limit, overrides=overrides
    )
    explanation = _explain(
        trained, methods_by_model, slices, baseline=baseline, target=target, checks=checks
    )
    files = write_results(explanation, out=out, baseline=baseline)
    return dataclasses.replace(explanation, files=files)


def _explain(
    trained: Mapping[str, TrainedNetwork],
    methods: Mapping[str, Mapping[str, Method]],
    slices: Slices,
    *,
    baseline: str,
    target: str,
    checks: Sequence[str],
) -> Explanation:
    """Every model by each of its methods, on the same slices and baselines."""
    first_network = next(iter(trained.values()))
    references = baselines_for(slices, kind=baseline, seed=int(first_network.config.seed))
    targets, chances = {}, {}
    results: list[MethodMaps] = []
    checked: list[Check] = []
    for name, network in trained.items():
        variables = jax.device_get(network.variables)
        chances[name] = _probabilities(network, slices.images)
        targets[name] = _targets(slices, chances[name], target=target)
        task = ExplanationTask(network.model, variables, slices.images, references, targets[name])
        method_maps = [explain_slices(name, method, task) for method in methods[name].values()]
        results += method_maps
        checked += run_checks(
            method_maps, task, kinds=checks, other_seed=int(network.config.seed) + 1
        )
    return Explanation(slices, targets, chances, results, checked)


def _check_words(**options: Sequence[str]) -> None:
    """Refuse unknown values of an option."""
    choices = {"target": TARGETS, "split": SPLITS, "check": CHECKS}
    for option, words in options.items():
        for word in words:
            if word not in choices[option]:
                raise ConfigError(f"--{option} {word}: {nearest(word, choices[option])}")


def _names(workdirs: Sequence[Path]) -> list[str]:
    paths = [folder.resolve() for folder in workdirs]
    if len(set(paths)) < len(paths) or not paths:
        folders = " ".join(map(str, workdirs))
        raise ConfigError(f"--workdir {folders}: expected one or more different runs")
    return distinct_names(paths)


def _classifier(workdir: Path, *, overrides: Sequence[str]) -> TrainedNetwork:
    trained = load_trained(workdir, overrides=overrides)
    name = trained.config.model.name
    if name not in CLASSIFIERS:
        raise ConfigError(
            f"--workdir {workdir}: its run trained model.name={name!r}, which does not classify; "
            f"give a run of one of {', '.join(CLASSIFIERS)}"
        )
    return trained


def _slices(
    workdirs: Sequence[Path],
    trained: Mapping[str, TrainedNetwork],
    *,
    split: str,
    images: Sequence[Path],
    limit: int | None,
    overrides: Sequence[str],
) -> Slices:
    settings = [Preparation(**network.config.preparation) for network in trained.values()]
    if any(preparation != settings[0] for preparation in settings):
        raise ConfigError("--workdir: the runs prepare slices differently; explain one at a time")
    if images:
        return slices_of_files(images, settings=settings[0])
    run, *other_runs = (reopen_run(folder, overrides=overrides) for folder in workdirs)
    names = run.data.table.file_names[run.data.rows(split)].tolist()
    for preparation in other_runs:
        if sorted(
            preparation.data.table.file_names[preparation.data.rows(split)].tolist()
        ) != sorted(names):
            raise DataError(
                f"--workdir {preparation.workdir}: its {split} split has other slices than that of "
                f"{run.workdir}; explain it by itself"
            )
    return slices_of_split(run, split=split, limit=limit)


def _chances(model: nn.Module, variables: Any, images: Array) -> Array:
    out: Any = model.apply(variables, images, train=False)
    return jax.nn.softmax(out.logits, axis=-1)


def _probabilities(
    trained: TrainedNetwork, images: Float[np.ndarray, "n s s 1"]
) -> Float[np.ndarray, "n k"]:
    infer = trained.inference(
        functools.partial(_chances, trained.model),
        sizes=(min(BATCH, len(images)),),
        layout=first_device(),
    )
    chances: np.ndarray = infer(images)
    return chances.astype(np.float64)


def _targets(
    slices: Slices, chances: Float[np.ndarray, "n k"], *, target: str
) -> Int[np.ndarray, "n"]:
    if target == "predicted":
        return chances.argmax(axis=1)
    if target == "label":
        if slices.labels is None:
            raise ConfigError("--target label: --images have no labels; use predicted or a class")
        return slices.labels
    return np.full(len(slices), CLASS_NAMES.index(target))
