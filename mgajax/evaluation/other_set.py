"""A trained run judged by a set that it was not trained on: built, a folder of classes, or a table."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from ml_collections import ConfigDict

from mgajax.data.cache import PreparedSet, open_prepared_set
from mgajax.data.class_words import OPTION as CLASSES
from mgajax.data.class_words import ClassWords, read_class_words
from mgajax.data.dataset import Dataset
from mgajax.data.labelled_files import LabelledFiles, files_of_folders, files_of_table
from mgajax.data.labelled_set import PART, judged_dataset, prepared_files
from mgajax.data.preparation import Preparation
from mgajax.data.table import dataset_name, is_built
from mgajax.errors import ConfigError, DataError, LeakageError
from mgajax.evaluation.evaluate import evaluate_run, evaluate_slices
from mgajax.evaluation.evaluation_report import Evaluation, JudgedSlices, results_folder
from mgajax.evaluation.set_people import NAMED, SetPeople, find_people
from mgajax.folders import safe_name
from mgajax.schema import SPLITS
from mgajax.training.checkpoints import CheckpointName
from mgajax.training.run import Run, run_over
from mgajax.training.run_folder import FINGERPRINT_KEY, SPLIT_FILE, read_record, read_run
from mgajax.training.run_setup import set_up
from mgajax.training.tasks import Task

BUILT = "built data set"
TABLE_SUFFIXES = (".csv", ".tsv", ".txt")


class SharedPeople(StrEnum):
    """What becomes of people of another set who trained the run."""

    REFUSE = "refuse"
    LEAVE_OUT = "leave_out"
    KEEP = "keep"


@dataclass(frozen=True, eq=False)
class OtherSet:
    """A set to judge a run by.

    Attributes:
      name: of its results.
      kind: "built data set", "folder of classes" or "table".
      place: where it lies.
      slices: prepared as the run's own.
      unreadable: a line for each slice or file that could not be read.
      notes: what else a reader of results should know.
    """

    name: str
    kind: str
    place: Path
    slices: PreparedSet
    unreadable: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_built(self) -> bool:
        """Whether it is a built data set."""
        return self.kind == BUILT


@dataclass(frozen=True)
class SetOptions:
    """What a user says of the data to judge a run by; each goes with some data only.

    Attributes:
      split: of the run's own set; None for "test".
      classes: of folders and tables, see `read_class_words`.
      name: of another set's results; None for the set's or folder's own.
      shared_people: what becomes of people of another set who trained the run.
    """

    split: str | None = None
    classes: str | None = None
    name: str | None = None
    shared_people: SharedPeople = SharedPeople.REFUSE


def evaluate_data(
    workdir: Path,
    data: Path | None = None,
    *,
    options: SetOptions | None = None,
    out: Path | None = None,
    checkpoint: CheckpointName = CheckpointName.BEST,
    overrides: Sequence[str] = (),
) -> Evaluation:
    """Judge a run by the data at a place: by its own set, wherever that lies now, or by another one.

    A built set with the fingerprint of the run's own is the run's own, and one split of it is judged
    (`evaluate_run`). Of any other set each slice is judged once; results go beside the run's own, into
    files that begin with the set's name.

    People of the set who trained the run are refused unless the user says what to do with them:
    numbers that include them look like those of an external set and are not.

    Args:
      workdir: a folder that `mgajax train` made.
      data: a built data set, a folder of class-named folders, or a CSV; None for the run's own set
        where it was trained.
      options: see `SetOptions`.
      out: the JSON file; by default in the `results_folder`.
      checkpoint: which of the two that are kept.
      overrides: `--config.key=value` for keys that do not change numbers.

    Raises:
      ConfigError: no run there, an option that does not go with these data, or a name that is taken.
      DataError: the set cannot be read, or has nothing to judge the run by.
      LeakageError: people of the set trained the run.
      CheckpointError: nothing saved yet.
    """
    options = options or SetOptions()
    if data is not None:
        return JudgingData(data, options).evaluate(
            workdir, out=out, checkpoint=checkpoint, overrides=overrides
        )
    _refuse(_of_others(options), why="there is no --data of another set")
    return evaluate_run(
        workdir,
        split=options.split or "test",
        out=out,
        checkpoint=checkpoint,
        overrides=overrides,
    )


@dataclass(frozen=True)
class JudgingData:
    """The data at a place, by which runs are judged: read once for all runs that prepare alike.

    What lies at the place must stay as it is while this is used.

    Attributes:
      place: a built data set, a folder of class-named folders, or a CSV.
      options: see `SetOptions`.
    """

    place: Path
    options: SetOptions = SetOptions()
    _opened: dict[tuple[Any, ...], OtherSet] = field(default_factory=dict, repr=False)

    def evaluate(
        self,
        workdir: Path,
        *,
        out: Path | None = None,
        checkpoint: CheckpointName = CheckpointName.BEST,
        overrides: Sequence[str] = (),
    ) -> Evaluation:
        """Judge a run; see `evaluate_data`."""
        if out is not None and not out.parent.is_dir():
            raise ConfigError(f"--out {out}: there is no folder {out.parent}; make it first")
        place, options = self.place, self.options
        config = read_run(workdir, overrides=overrides)
        task = set_up(config).task
        other = self._open_for(config, task)
        trained_on = read_record(config, workdir=workdir).get(FINGERPRINT_KEY)
        if other.is_built and trained_on in (None, other.slices.fingerprint):
            _refuse(_of_others(options), why=f"{place} is the run's own set")
            return evaluate_run(
                workdir,
                split=options.split or "test",
                out=out,
                checkpoint=checkpoint,
                overrides=[f"--config.data.dir={place}", *overrides],
            )
        _refuse({"--split": options.split}, why=f"{place} is another set, judged as a whole")
        return _evaluate_other(
            workdir,
            other,
            config=config,
            task=task,
            options=options,
            out=out,
            checkpoint=checkpoint,
        )

    def _open_for(self, config: ConfigDict, task: Task) -> OtherSet:
        """The set as a run needs it, from an earlier run where that needed it alike."""
        settings = Preparation(**config.preparation)
        needs = (settings, task.needs_lungs, task.needs_masks, config.data.cache_dir)
        if needs not in self._opened:
            self._opened[needs] = _open_set(
                self.place, config=config, task=task, options=self.options
            )
        return self._opened[needs]


def _of_others(options: SetOptions) -> dict[str, str | None]:
    """The options of sets that are not the run's own."""
    return {CLASSES: options.classes, "--name": options.name}


def _evaluate_other(
    workdir: Path,
    other: OtherSet,
    *,
    config: ConfigDict,
    task: Task,
    options: SetOptions,
    out: Path | None,
    checkpoint: CheckpointName,
) -> Evaluation:
    dataset = judged_dataset(
        other.slices,
        normal_mask=config.data.normal_mask if other.is_built else "unknown",
        mask_origins=task.mask_origins,
        needs_masks=task.needs_masks,
    )
    people = find_people(dataset.table, split_csv=workdir / SPLIT_FILE)
    rows = _choose_rows(dataset, people, other=other, shared_people=options.shared_people)
    results = results_folder(workdir, checkpoint=checkpoint) / f"{other.name}.json"
    _check_name(results, dataset=dataset)
    run = run_over(config, dataset, workdir=workdir)
    slices = _describe_slices(run, rows, other=other, people=people)
    return evaluate_slices(run, slices, out=out, checkpoint=checkpoint)


def _refuse(options: dict[str, str | None], *, why: str) -> None:
    for option, value in options.items():
        if value is not None:
            raise ConfigError(f"{option} {value}: {why}; leave {option} out")


def _open_set(data: Path, *, config: ConfigDict, task: Task, options: SetOptions) -> OtherSet:
    """The set at a place, prepared as the run's slices were."""
    settings = Preparation(**config.preparation)
    if is_built(data):
        why = f"{data} is a built data set, which knows its classes"
        _refuse({CLASSES: options.classes}, why=why)
        prepared = open_prepared_set(
            data,
            settings=settings,
            cache_dir=config.data.cache_dir or None,
            lungs=task.needs_lungs,
        )
        damaged = prepared.table.file_names[~prepared.usable]
        return OtherSet(
            name=_set_name(options.name, dataset_name(prepared.table.directory), place=data),
            kind=BUILT,
            place=prepared.table.directory,
            slices=prepared,
            unreadable=tuple(f"{file}: cannot be decoded" for file in damaged.tolist()),
        )
    files = _list_files(data, classes=options.classes)
    if task.needs_masks:
        raise ConfigError(
            f"--data {data}: a {files.kind} has no lesion masks to judge a segmenter by; build it as a "
            "set of pairs first (mgajax build covid_ct_lesions)"
        )
    name = _set_name(options.name, data.stem if data.is_file() else data.name, place=data)
    readable = prepared_files(files, settings=settings, needs_lungs=task.needs_lungs)
    return OtherSet(
        name=name,
        kind=files.kind,
        place=data,
        slices=readable.slices,
        unreadable=readable.left_out,
        notes=readable.notes,
    )


def _list_files(data: Path, *, classes: str | None) -> LabelledFiles:
    words = read_class_words(classes) if classes is not None else ClassWords()
    if data.is_dir():
        return files_of_folders(data, words=words)
    if data.suffix.lower() in TABLE_SUFFIXES and data.exists():
        return files_of_table(data, words=words)
    raise DataError(
        f"--data {data}: {'no table' if data.exists() else 'no such folder or file'}; expected a built "
        f"data set, a folder of class-named folders, or a table ({', '.join(TABLE_SUFFIXES)})"
    )


def _set_name(name: str | None, default: str, *, place: Path) -> str:
    """The name of a set's results: as the user says, or the set's own where that tells it apart.

    Raises:
      ConfigError: a name of the user's that is no file's name, or that of a split.
    """
    taken = {*SPLITS, *CheckpointName}
    if name is not None:
        if name != _plain(name) or name in taken:
            raise ConfigError(
                f"--name {name}: expected letters, digits, - and _, and none of {', '.join(sorted(taken))}"
            )
        return name
    plain = _plain(default or place.resolve().name)
    return plain if plain not in taken else _plain(f"{place.resolve().parent.name}_{plain}")


def _plain(name: str) -> str:
    return safe_name(name).replace(".", "_")


def _check_name(path: Path, *, dataset: Dataset) -> None:
    """Refuse a name under which results of other data lie."""
    try:
        written = json.loads(path.read_text(encoding="utf-8"))["data_fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if written != dataset.fingerprint:
        raise ConfigError(
            f"{path}: results of other data of this name; give --name, or remove the file"
        )


def _choose_rows(
    dataset: Dataset, people: SetPeople, *, other: OtherSet, shared_people: SharedPeople
) -> Int[np.ndarray, "n"]:
    rows = dataset.rows(PART)
    if len(rows) == 0:
        raise DataError(
            f"{other.place}: no slice to judge by; a segmenter needs annotated lesion masks, of which "
            "this set has none"
        )
    if not people.training or shared_people is SharedPeople.KEEP:
        return rows
    if shared_people is SharedPeople.REFUSE:
        shared = people.training
        named = f"{', '.join(shared[:NAMED])}{', …' if len(shared) > NAMED else ''}"
        raise LeakageError(
            f"{other.place}: {len(shared)} of its {people.number} people trained this run ({named}), "
            "so that its numbers would be too good; --shared_people leave_out judges the others alone, "
            "--shared_people keep judges all and marks the results"
        )
    rows = rows[~people.has_trained[rows]]
    if len(rows) == 0:
        raise DataError(
            f"{other.place}: all of its people trained this run, nobody is left to judge by"
        )
    return rows


def _describe_slices(
    run: Run, rows: Int[np.ndarray, "n"], *, other: OtherSet, people: SetPeople
) -> JudgedSlices:
    examples = len(run.data.rows(PART))
    origin: dict[str, Any] = {
        "set": other.name,
        "set_kind": other.kind,
        "set_place": str(other.place),
        "set_notes": list(other.notes),
        "people": people.to_json(),
        "left_out_slices": examples - len(rows),
        "leaks": bool(people.has_trained[rows].any()),
        "unreadable_files": list(other.unreadable),
    }
    return JudgedSlices(
        name=other.name,
        rows=rows,
        origin=origin,
        unreadable=len(other.unreadable),
        without_mask=int(run.data.usable.sum()) - examples,
        is_split=False,
    )
