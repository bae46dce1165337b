"""Build a data set of ours by name: once, whole or not at all, and never from stale input."""

import contextlib
import dataclasses
import hashlib
import importlib
import io
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import tensorflow_datasets as tfds

from mgajax.curation.predicted_masks import masks_name
from mgajax.errors import ConfigError, DataError, nearest
from mgajax.locks import locked
from mgajax.progress import say


@dataclasses.dataclass(frozen=True)
class KnownBuilder:
    """Where a builder class lives, and whether it reads files of the user's."""

    module: str
    class_name: str
    reads: Literal["manual_dir", "nothing"]


BUILDERS: dict[str, KnownBuilder] = {
    "covid_ct_slices": KnownBuilder("tfds_builders.covid_ct_slices", "CovidCtSlices", "manual_dir"),
    "covid_ct_lesions": KnownBuilder(
        "tfds_builders.covid_ct_lesions", "CovidCtLesions", "manual_dir"
    ),
    "ct_phantom": KnownBuilder("tfds_builders.ct_phantom", "CtPhantom", "nothing"),
}


@dataclasses.dataclass(frozen=True)
class BuildResult:
    """A data set on disk.

    Attributes:
      name: data set and config, e.g. "covid_ct_slices/default".
      directory: its version's folder, which `mgajax.data.table.read_table` reads.
      status: whether this call built it or found it complete.
      splits: slices by split.
      record: what the builder recorded about its input, in plain JSON types.
    """

    name: str
    directory: Path
    status: Literal["built", "reused"]
    splits: dict[str, int]
    record: dict[str, Any]

    @property
    def summary(self) -> str:
        """The result for a person: how many slices, and what was found in the input."""
        counts = ", ".join(f"{count} {split}" for split, count in self.splits.items())
        lines = [f"{self.name} ({self.status}): {counts} slices"]
        if "findings" in self.record:
            lines += _input_lines(self.record)
        return "\n".join(lines)


def build(
    dataset_name: str,
    *,
    manual_dir: Path | str | None = None,
    data_dir: Path | str,
    builder_config: str | None = None,
    **options: Any,
) -> BuildResult:
    """Build `dataset_name` under `data_dir`, or find it there complete.

    The folder of a version appears by one rename when everything in it is written, so whatever
    interrupts a build, no later read takes its rest for a data set; the next build clears it away.
    A second build of the same data set at the same time waits for the first and reuses its result.

    Args:
      dataset_name: a key of `BUILDERS`.
      manual_dir: the folder of downloaded files, for builders that read one.
      data_dir: where data sets lie; created if need be.
      builder_config: name of one of the builder's configs; its first one by default.
      **options: fields of the config to change; they become part of the config's name.

    Raises:
      ConfigError: unknown data set, config or option; manual_dir missing or not wanted.
      DataError: unusable input; a complete data set built from other input; a failed write.
    """
    builder_class, known = _builder_class(dataset_name)
    config = _config(builder_class, builder_config, options)
    source = _manual_dir(dataset_name, known, manual_dir)
    root = Path(data_dir).expanduser().resolve()
    with _alone(root, dataset_name):
        builder = builder_class(data_dir=str(root), config=config)
        directory = Path(builder.data_dir)
        fingerprint = builder.input_fingerprint(source)
        if directory.exists():
            _check_complete(builder, directory, fingerprint=fingerprint)
            return _result(builder, directory, status="reused")
        _clear_leftovers(directory)
        _prepare(builder, source, root)
        return _result(builder, directory, status="built")


def _input_lines(record: dict[str, Any]) -> list[str]:
    """What the record of a builder that reads files says; `!` marks damage."""
    lines = []
    if "rows" in record:
        lines += [
            f"  {record['rows']} rows, {record['files']} pictures -> {record['slices']} slices of "
            f"{record['patients']} patients",
            f"  {record['damage_share']:.2%} of the names damaged or unmatched (limit "
            f"{record['max_damage_share']:.0%})",
        ]
    masks = f"{record['masked']} slices with an annotated lesion mask"
    lines.append(
        f"  {masks}, {record['predicted']} with a predicted one"
        if record["predicted"]
        else f"  {masks}"
    )
    if merged := record.get("merged"):
        second, kept = next(iter(merged.items()))
        lines.append(
            f"  - ids counted as another person's: {len(merged)} (e.g. {second} as {kept})"
        )
    for finding in record["findings"].values():
        mark = "!" if finding["damage"] else "-"
        example = finding["examples"][0]
        lines.append(f"  {mark} {finding['meaning']}: {finding['count']} (e.g. {example})")
    return lines + [f"  - {note}" for note in record.get("split_notes", ())]


def _builder_class(dataset_name: str) -> tuple[Any, KnownBuilder]:
    known = BUILDERS.get(dataset_name)
    if known is None:
        raise ConfigError(
            f"dataset {dataset_name!r} is unknown; {nearest(dataset_name, [*BUILDERS])}"
        )
    return getattr(importlib.import_module(known.module), known.class_name), known


def _config(builder_class: Any, name: str | None, options: dict[str, Any]) -> Any:
    """The builder's config called `name` with `options` put into it."""
    configs = {config.name: config for config in builder_class.BUILDER_CONFIGS}
    name = name or next(iter(configs))
    if name not in configs:
        raise ConfigError(f"builder_config={name!r} is unknown; {nearest(name, [*configs])}")
    config = configs[name]
    if not options:
        return config
    inherited = {field.name for field in dataclasses.fields(tfds.core.BuilderConfig)}
    valid = sorted({field.name for field in dataclasses.fields(config)} - inherited)
    for option in options:
        if option not in valid:
            raise ConfigError(f"option {option!r} is unknown; {nearest(option, valid)}")
    changed = dataclasses.replace(config, **options)
    named = {key: _named(changed, key) for key in options}
    changed.name = "-".join([name, *(f"{key}_{value}" for key, value in sorted(named.items()))])
    return changed


def _named(config: Any, option: str) -> object:
    """An option's value as part of a folder's name: a path by a hash of what is taken from there."""
    value = getattr(config, option)
    match option:
        case "masks":
            return masks_name(value)
        case "merge":
            people: list[Any] = sorted(config.kept.items())
        case "test_with":
            people = sorted(config.tested)
        case _:
            return value
    return hashlib.sha256(repr(people).encode()).hexdigest()[:12]


def _manual_dir(
    dataset_name: str, known: KnownBuilder, manual_dir: Path | str | None
) -> Path | None:
    if known.reads == "nothing":
        if manual_dir is not None:
            raise ConfigError(
                f"manual_dir={manual_dir}: {dataset_name} reads no files; leave it out"
            )
        return None
    if manual_dir is None:
        raise ConfigError(f"manual_dir is missing: {dataset_name} needs the folder of its download")
    return Path(manual_dir).expanduser().resolve()


@contextlib.contextmanager
def _alone(root: Path, dataset_name: str) -> Iterator[None]:
    """Hold the data set's lock, which the system drops when this process ends in any way."""
    with contextlib.ExitStack() as held:
        try:
            root.mkdir(parents=True, exist_ok=True)
            lock = locked(root / f".{dataset_name}.lock", guards=f"{dataset_name} in {root}")
            held.enter_context(lock)
        except OSError as error:
            raise DataError(
                f"data_dir={root}: cannot be written ({error}); choose another"
            ) from error
        yield


def _clear_leftovers(directory: Path) -> None:
    """Remove what killed builds of this version left; under the lock nobody writes there."""
    for leftover in directory.parent.glob(f"incomplete.*_{directory.name}"):
        say(f"removing the rest of an interrupted build: {leftover}")
        shutil.rmtree(leftover)


def _check_complete(builder: Any, directory: Path, *, fingerprint: str | None) -> None:
    """Refuse to reuse a folder that lost files, or that was built from other input."""
    paths = [Path(path) for split in builder.info.splits.values() for path in split.filepaths]
    lost = [path for path in paths if not path.is_file()]
    if lost or not paths:
        what = lost[0].name if lost else "dataset_info.json"
        raise DataError(f"{directory}: {what} is missing; delete this folder to build anew")
    if fingerprint is None:
        return
    if (builder.info.metadata or {}).get("input_fingerprint") != fingerprint:
        raise DataError(
            f"{directory}: was built from other files than those of manual_dir now; delete this "
            "folder to build anew, or choose another data_dir"
        )


def _prepare(builder: Any, source: Path | None, root: Path) -> None:
    """Write the data set; TFDS's own bars and notices are kept off stdout, which is for results."""
    tfds.disable_progress_bar()
    try:
        with (
            tempfile.TemporaryDirectory() as downloads,
            contextlib.redirect_stdout(io.StringIO()),
        ):
            builder.download_and_prepare(
                download_dir=downloads,
                download_config=tfds.download.DownloadConfig(
                    manual_dir=str(source) if source else None
                ),
                file_format="array_record",
            )
    except (OSError, RuntimeError) as error:  # the record writer reports a full disk by the latter
        reason = " ".join(str(error).split())
        raise DataError(
            f"{root}: the data set could not be written ({reason}); nothing is left of it: make "
            "room or choose another data_dir, and build again"
        ) from error


def _result(builder: Any, directory: Path, *, status: Literal["built", "reused"]) -> BuildResult:
    metadata = builder.info.metadata or {}
    return BuildResult(
        name=f"{builder.name}/{builder.builder_config.name}",
        directory=directory,
        status=status,
        splits={name: split.num_examples for name, split in builder.info.splits.items()},
        record=dict(metadata.get("summary", {})),
    )
