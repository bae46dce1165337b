"""Builds a data set by name: once, completely or not at all, and never from outdated input."""

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
from mgajax.errors import ConfigError, DataError, nearest, quantity
from mgajax.locks import locked
from mgajax.progress import say


@dataclasses.dataclass(frozen=True)
class KnownBuilder:
    """Module and name of a builder class, and whether it reads files of the user."""

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
      record: the builder's record of its input, in plain JSON types.
    """

    name: str
    directory: Path
    status: Literal["built", "reused"]
    splits: dict[str, int]
    record: dict[str, Any]

    @property
    def summary(self) -> str:
        """The result as text: numbers of slices, and findings in the input."""
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
    """Build `dataset_name` under `data_dir`, or reuse it if it is there and complete.

    The folder of a version appears by one rename when all of it is written, so that nothing reads the
    remains of an interrupted build; the next build removes them. A second build of the same data set at
    the same time waits for the first and reuses its result.

    Args:
      dataset_name: a key of `BUILDERS`.
      manual_dir: the folder of downloaded files, for builders that read one.
      data_dir: the folder of data sets; created if missing.
      builder_config: name of one of the builder's configs; its first one by default.
      **options: fields of the config to change; they become part of the config's name.

    Raises:
      ConfigError: unknown data set, config or option; manual_dir missing or not allowed.
      DataError: unusable input; a complete data set built from other input; a failed write.
    """
    builder_class, registered = _find_builder(dataset_name)
    config = _find_config(builder_class, builder_config, options)
    source = _resolve_manual_dir(dataset_name, registered, manual_dir)
    root = Path(data_dir).expanduser().resolve()
    with _lock(root, dataset_name):
        builder = builder_class(data_dir=str(root), config=config)
        directory = Path(builder.data_dir)
        fingerprint = builder.input_fingerprint(source)
        if directory.exists():
            _check_complete(builder, directory, fingerprint=fingerprint)
            return _make_result(builder, directory, status="reused")
        _clear_leftovers(directory)
        _write(builder, source, root)
        return _make_result(builder, directory, status="built")


def _input_lines(record: dict[str, Any]) -> list[str]:
    """The record of a builder that reads files, as lines; `!` marks damage."""
    lines = []
    if "rows" in record:
        lines += [
            f"  {quantity(record['rows'], 'row')}, {quantity(record['files'], 'picture')} -> "
            f"{quantity(record['slices'], 'slice')} of {quantity(record['patients'], 'patient')}",
            f"  {record['damage_share']:.2%} of the names damaged or unmatched (limit "
            f"{record['max_damage_share']:.0%})",
        ]
    masks = f"{quantity(record['masked'], 'slice')} with an annotated lesion mask"
    lines.append(
        f"  {masks}, {record['predicted']} with a predicted one"
        if record["predicted"]
        else f"  {masks}"
    )
    if merged := record.get("merged"):
        second, first = next(iter(merged.items()))
        lines.append(
            f"  - ids counted as another person's: {len(merged)} (e.g. {second} as {first})"
        )
    for finding in record["findings"].values():
        mark = "!" if finding["damage"] else "-"
        example = finding["examples"][0]
        lines.append(f"  {mark} {finding['meaning']}: {finding['count']} (e.g. {example})")
    return lines + [f"  - {note}" for note in record.get("split_notes", ())]


def _find_builder(dataset_name: str) -> tuple[Any, KnownBuilder]:
    registered = BUILDERS.get(dataset_name)
    if registered is None:
        raise ConfigError(
            f"dataset {dataset_name!r} is unknown; {nearest(dataset_name, [*BUILDERS])}"
        )
    return getattr(importlib.import_module(registered.module), registered.class_name), registered


def _find_config(builder_class: Any, name: str | None, options: dict[str, Any]) -> Any:
    """The builder's config called `name`, with `options` set."""
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
    custom = dataclasses.replace(config, **options)
    texts = {key: _name_value(custom, key) for key in options}
    custom.name = "-".join([name, *(f"{key}_{value}" for key, value in sorted(texts.items()))])
    return custom


def _name_value(config: Any, option: str) -> object:
    """An option's value as part of a folder's name; for a path a hash of the content read from it."""
    value = getattr(config, option)
    match option:
        case "masks":
            return masks_name(value)
        case "merge":
            key: list[Any] = sorted(config.first_ids.items())
        case "test_with":
            key = sorted(config.test_patients)
        case "healthy":
            key = [config.healthy_fingerprint]
        case _:
            return value
    return hashlib.sha256(repr(key).encode()).hexdigest()[:12]


def _resolve_manual_dir(
    dataset_name: str, registered: KnownBuilder, manual_dir: Path | str | None
) -> Path | None:
    if registered.reads == "nothing":
        if manual_dir is not None:
            raise ConfigError(
                f"manual_dir={manual_dir}: {dataset_name} reads no files; leave it out"
            )
        return None
    if manual_dir is None:
        raise ConfigError(f"manual_dir is missing: {dataset_name} needs the folder of its download")
    return Path(manual_dir).expanduser().resolve()


@contextlib.contextmanager
def _lock(root: Path, dataset_name: str) -> Iterator[None]:
    """Hold the data set's lock, which the system releases when this process ends."""
    with contextlib.ExitStack() as stack:
        try:
            root.mkdir(parents=True, exist_ok=True)
            lock = locked(root / f".{dataset_name}.lock", guards=f"{dataset_name} in {root}")
            stack.enter_context(lock)
        except OSError as error:
            raise DataError(
                f"data_dir={root}: cannot be written ({error}); choose another"
            ) from error
        yield


def _clear_leftovers(directory: Path) -> None:
    """Remove the remains of killed builds of this version. The lock must be held."""
    for leftover in directory.parent.glob(f"incomplete.*_{directory.name}"):
        say(f"removing the rest of an interrupted build: {leftover}")
        shutil.rmtree(leftover)


def _check_complete(builder: Any, directory: Path, *, fingerprint: str | None) -> None:
    """Refuse to reuse a folder with missing files, or one built from other input."""
    paths = [Path(path) for split in builder.info.splits.values() for path in split.filepaths]
    missing = [path for path in paths if not path.is_file()]
    if missing or not paths:
        name = missing[0].name if missing else "dataset_info.json"
        raise DataError(f"{directory}: {name} is missing; delete this folder to build anew")
    if fingerprint is None:
        return
    if (builder.info.metadata or {}).get("input_fingerprint") != fingerprint:
        raise DataError(
            f"{directory}: was built from other files than those of manual_dir now; delete this "
            "folder to build anew, or choose another data_dir"
        )


def _write(builder: Any, source: Path | None, root: Path) -> None:
    """Write the data set, without TFDS's own bars and notices on stdout, which is for results."""
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


def _make_result(
    builder: Any, directory: Path, *, status: Literal["built", "reused"]
) -> BuildResult:
    metadata = builder.info.metadata or {}
    return BuildResult(
        name=f"{builder.name}/{builder.builder_config.name}",
        directory=directory,
        status=status,
        splits={name: split.num_examples for name, split in builder.info.splits.items()},
        record=dict(metadata.get("summary", {})),
    )
