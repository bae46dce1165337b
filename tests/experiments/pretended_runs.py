"""Finished runs whose predictions are drawn: what studies read, without training."""

from pathlib import Path

import numpy as np
from ml_collections import ConfigDict
from scipy.special import softmax

from mgajax import config as configs
from mgajax.evaluation.predictions import Predictions
from mgajax.experiments.datasets import DataSets
from mgajax.experiments.plan import PlannedRun
from mgajax.experiments.study import StudyInput

PEOPLE, SLICES = 24, 3


def no_data(*_: object, **__: object) -> Path:
    raise AssertionError("nothing should be drawn")


def predicted(*, skill: float, seed: int, split: str = "test", test_set: int = 0) -> Predictions:
    """The same slices for each `split` and `test_set`; the better, the higher the skill."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(PEOPLE), SLICES)
    labels = owner % 3
    logits = rng.normal(size=(len(owner), 3))
    logits[np.arange(len(owner)), labels] += skill
    lesion = np.where(labels > 0, 0.1, 0.0)
    scores = np.where(labels > 0, np.clip(0.5 + 0.1 * skill + 0.05 * logits[:, 0], 0, 1), np.nan)
    columns = ("attention_in_lesion", "cell_hit", "rank_auc", "top_area_iou")
    return Predictions(
        file_names=np.array([f"{test_set}-{split}-{i}.png" for i in range(len(owner))]),
        labels=labels.astype(np.int64),
        probabilities=softmax(logits, axis=1),
        patients=np.array([f"zhao/{test_set}-{person}" for person in owner]),
        sources=np.full(len(owner), "zhao"),
        split=split,
        overlap={"lesion_area": lesion} | dict.fromkeys(columns, scores),
    )


def pretended(
    plan: str,
    *,
    folder: Path,
    skills: dict[str, float],
    seeds: tuple[int, ...] = (0, 1),
    splits: tuple[str, ...] = ("test",),
) -> StudyInput:
    """Every arm of the plan that has a skill, finished under each seed; the others failed."""
    arms: dict[str, ConfigDict] = dict(configs.load(plan).items())
    runs: dict[str, dict[int, PlannedRun]] = {}
    for number, arm in enumerate(arm for arm in arms if arm in skills):
        for seed in seeds:
            place = folder / "runs" / f"{arm}-{seed}"
            (place / "evaluation").mkdir(parents=True)
            for split in splits:
                table = predicted(skill=skills[arm], seed=100 * number + seed, split=split)
                table.write_csv(place / "evaluation" / f"{split}_predictions.csv")
            runs.setdefault(arm, {})[seed] = PlannedRun(arm, seed, arms[arm], place, f"{arm}{seed}")
    missing = {arm: ("failed", "out of memory") for arm in arms if arm not in runs}
    data = DataSets(built=None, draw=no_data, folder=folder, phantom={})
    return StudyInput(folder, runs, arms, missing, data)
