"""Finished seeds in one small file, so that another machine can add seeds to them.

It holds the numbers of the runs: predictions, pixel counts, learning curves, seconds. It holds no
weights and no pixels, and names no place of the machine.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from mgajax import config as configs
from mgajax.errors import ConfigError, DataError
from mgajax.evaluation.evaluation_report import EVALUATION_FOLDER
from mgajax.experiments.execution import DONE_FILE
from mgajax.experiments.plan import PlannedRun
from mgajax.experiments.predictions_archive import pack, unpack
from mgajax.experiments.real.arms import Arm, FoldedRuns, Start
from mgajax.experiments.real.stage_times import SUFFIX
from mgajax.training.loop import PARAMETERS_FILE, SUMMARY_FILE
from mgajax.training.metrics_log import METRICS_FILE

ARCHIVE = "seeds.tar.xz"
INDEX = "seeds.json"
CONFIG = "config.json"

FILES = (
    DONE_FILE,
    SUMMARY_FILE,
    PARAMETERS_FILE,
    METRICS_FILE,
    f"*{SUFFIX}",
    f"{EVALUATION_FOLDER}/test.json",
    f"{EVALUATION_FOLDER}/test_slices.csv",
    f"{EVALUATION_FOLDER}/*_predictions.csv",
)
"""What is kept of a run, where it has it."""

PLACES = ("data.dir", "data.cache_dir", "split.path", "init_from", "checkpoint_dir")
"""Keys that name a place; the archive has none of them."""

OF_A_RUN = (*PLACES, "seed", "split.kind")
"""Keys in which the runs of a network differ."""


@dataclass(frozen=True)
class FinishedSeeds:
    """The runs of seeds that all networks finished in all folds.

    Attributes:
      segmenters, classifiers: the runs.
    """

    segmenters: FoldedRuns = field(default_factory=dict)
    classifiers: FoldedRuns = field(default_factory=dict)

    @property
    def arms(self) -> list[tuple[Arm, Mapping[int, Sequence[PlannedRun]]]]:
        """Every arm of both steps with its runs by seed."""
        return [*self.segmenters.items(), *self.classifiers.items()]

    @property
    def seeds(self) -> set[int]:
        """The seeds."""
        return {seed for _, by_seed in self.arms for seed in by_seed}

    @property
    def runs(self) -> list[PlannedRun]:
        """All runs."""
        return [run for _, by_seed in self.arms for folds in by_seed.values() for run in folds]


def keep_seeds(finished: FinishedSeeds, *, identity: Mapping[str, Any], out: Path) -> Path | None:
    """Write the archive; None where no seed was finished by all networks.

    Args:
      finished: the runs; a seed that some network did not finish is left out.
      identity: what must be equal where seeds are added, as plain values.
      out: gets the archive.
    """
    seeds_of_arms = [set(by_seed) for _, by_seed in finished.arms]
    whole = set.intersection(*seeds_of_arms) if seeds_of_arms else set()
    if not whole:
        return None
    listed, entries = list[dict[str, Any]](), dict[str, bytes]()
    for step in ("segmenters", "classifiers"):
        for arm, by_seed in getattr(finished, step).items():
            for seed in sorted(whole):
                for fold, run in enumerate(by_seed[seed]):
                    listed.append(_index_entry(step, arm, seed, fold, run))
                    entries |= _files_of(run)
    index = {"identity": dict(identity), "runs": listed}
    entries[INDEX] = json.dumps(index, indent=1).encode()
    return pack(entries, out / ARCHIVE)


def _index_entry(step: str, arm: Arm, seed: int, fold: int, run: PlannedRun) -> dict[str, Any]:
    return {
        "step": step,
        "network": arm.network,
        "start": str(arm.start),
        "label": arm.label,
        "seed": seed,
        "fold": fold,
        "title": run.arm,
        "folder": run.folder.name,
        "fingerprint": run.fingerprint,
    }


def _files_of(run: PlannedRun) -> dict[str, bytes]:
    """Each kept file by its name in the archive; the configuration names no places."""
    config = run.config.copy_and_resolve_references().unlock()
    config.update_from_flattened_dict(dict.fromkeys(PLACES, ""))
    files = {
        str(path.relative_to(run.folder)): path.read_bytes()
        for pattern in FILES
        for path in run.folder.glob(pattern)
    }
    text = json.dumps({"config": json.loads(config.to_json())}, sort_keys=True)
    files[CONFIG] = text.encode()
    return {f"{run.folder.name}/{name}": content for name, content in files.items()}


def read_seeds(
    archive: Path,
    *,
    identity: Mapping[str, Any],
    networks: Mapping[str, ConfigDict],
    folder: Path,
) -> FinishedSeeds:
    """The runs of an archive, unpacked.

    Args:
      archive: written by `keep_seeds`.
      identity: that of the experiment to which they are added.
      networks: the configurations of its networks; the archive must have all of them.
      folder: gets a folder for each archive.

    Raises:
      ConfigError: seeds of another experiment; names the first key that differs.
      DataError: the archive is missing or damaged.
    """
    place = _unpacked(archive, folder=folder)
    steps: dict[str, dict[Arm, dict[int, list[PlannedRun]]]] = {}
    try:
        index = json.loads((place / INDEX).read_text(encoding="utf-8"))
        stored = dict(index["identity"])
        for entry in sorted(index["runs"], key=lambda entry: int(entry["fold"])):
            arm = Arm(entry["network"], Start(entry["start"]), entry["label"])
            by_seed = steps.setdefault(entry["step"], {}).setdefault(arm, {})
            by_seed.setdefault(int(entry["seed"]), []).append(_read_run(place, entry))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{archive}: no archive of finished seeds ({error!r})") from error
    finished = FinishedSeeds(steps.get("segmenters", {}), steps.get("classifiers", {}))
    _check_equal(archive, stored, identity)
    kept = {arm.network: next(iter(by_seed.values()))[0].config for arm, by_seed in finished.arms}
    _check_networks(archive, kept, networks)
    return finished


def _unpacked(archive: Path, *, folder: Path) -> Path:
    """The folder of an archive's content, named by a hash of it."""
    try:
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"--earlier {archive}: cannot be read ({error})") from error
    place = folder / "earlier" / digest[:12]
    unpack(archive, into=place)  # each time: an earlier call may have been killed while it did
    return place


def _read_run(place: Path, entry: Mapping[str, Any]) -> PlannedRun:
    folder = place / entry["folder"]
    config, _ = configs.read(folder / CONFIG)
    return PlannedRun(entry["title"], config.seed, config, folder, entry["fingerprint"])


def _check_equal(archive: Path, of_archive: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    for key in dict.fromkeys([*own, *of_archive]):
        there, here = of_archive.get(key), own.get(key)
        if there != here:
            raise ConfigError(
                f"--earlier {archive}: {key} is {there} there and {here} here; expected the same "
                "slices, plan, overrides and options"
            )


def _check_networks(
    archive: Path, kept: Mapping[str, ConfigDict], networks: Mapping[str, ConfigDict]
) -> None:
    """Both have the same networks, with equal keys but for those in which runs differ."""
    for network in kept:
        if network not in networks:
            plan = ", ".join(networks)
            raise ConfigError(
                f"--earlier {archive}: has {network}, which is not in the plan ({plan})"
            )
    for network, config in networks.items():
        if network not in kept:
            raise ConfigError(
                f"--earlier {archive}: has no {network}, which is in the plan; expected the same plan"
            )
        there, here = (
            {f"{network}.{key}": value for key, value in keys.items()}
            for keys in (
                configs.deciding_keys(each, excluded=OF_A_RUN) for each in (kept[network], config)
            )
        )
        _check_equal(archive, there, here)


def join_seeds(earlier: FoldedRuns, own: FoldedRuns) -> FoldedRuns:
    """The runs of both, seeds in order; arms as in `earlier`, then others."""
    arms: Sequence[Arm] = [*dict.fromkeys([*earlier, *own])]
    joined = {arm: {**earlier.get(arm, {}), **own.get(arm, {})} for arm in arms}
    return {
        arm: {seed: by_seed[seed] for seed in sorted(by_seed)} for arm, by_seed in joined.items()
    }
