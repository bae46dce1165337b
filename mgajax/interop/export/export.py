"""`mgajax export`: a run's best checkpoint as files of other formats, each compared with it."""

import csv
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from mgajax.data.preparation import Preparation
from mgajax.errors import ConfigError
from mgajax.files import write_json, write_text
from mgajax.interop.export.card import model_card
from mgajax.interop.export.comparison import Artefact, compare_file, comparison_slices
from mgajax.interop.export.metadata import metadata
from mgajax.interop.formats import FORMATS
from mgajax.interop.network import Network, OutputFunction
from mgajax.progress import track
from mgajax.training.run_folder import SPLIT_FILE
from mgajax.training.run_setup import CHANNELS, model_options
from mgajax.training.tasks import NUM_CLASSES
from mgajax.training.trained import TrainedNetwork, load_trained

BATCH = 4


@dataclass(frozen=True)
class Export:
    """What an export gives.

    Attributes:
      artefacts: one a format.
      files: what was written, the model card last.
      step: of the checkpoint.
      slices: what the comparison was made on.
      left_out: formats that nobody asked for and whose packages are not installed.
    """

    artefacts: tuple[Artefact, ...]
    files: tuple[Path, ...]
    step: int
    slices: str
    left_out: tuple[str, ...]


def export_run(
    workdir: Path,
    *,
    folder: Path,
    stem: str | None = None,
    formats: Sequence[str] | None = None,
) -> Export:
    """Write the best checkpoint in some formats, with metadata (JSON) and a model card (Markdown).

    Each file is loaded by its own runtime and must agree with the checkpoint, in float32 on the
    CPU. All are made under another name first: either all of them come, or none.

    Args:
      workdir: a folder that `mgajax train` made.
      folder: where the files go; made if needed. Older ones of the same names are replaced.
      stem: their name without suffix; the model's name by default.
      formats: names in `FORMATS`; by default all whose packages are installed.

    Raises:
      ConfigError: no run there, or a file stands where a folder should come.
      CheckpointError: nothing saved yet.
      ExportError: a file cannot be made, or differs.
    """
    trained = load_trained(workdir)
    chosen_formats = tuple(
        formats or (name for name, artefact in FORMATS.items() if not artefact.missing)
    )
    left_out = () if formats else tuple(name for name in FORMATS if name not in chosen_formats)
    stem = stem or trained.config.model.name
    folder.mkdir(parents=True, exist_ok=True)
    with (workdir / SPLIT_FILE).open(newline="", encoding="utf-8") as file:
        split_rows = list(csv.DictReader(file))
    staging = Path(tempfile.mkdtemp(prefix=f".{stem}-", dir=folder))
    try:
        with jax.default_device(jax.devices("cpu")[0]):
            network = _network(trained, workdir=workdir)
            artefacts, compared_on = _write_and_compare(
                network,
                trained,
                length=len(split_rows),
                paths=_paths(staging, stem, chosen_formats),
            )
        write_json(network.metadata, staging / f"{stem}.json")
        card = model_card(
            network,
            artefacts,
            split_rows=split_rows,
            workdir=workdir,
            staging=staging,
            compared_on=compared_on,
        )
        write_text(card, staging / f"{stem}.md")
        names = [*(artefact.file for artefact in artefacts), f"{stem}.json", f"{stem}.md"]
        files = tuple(_move(staging / name, folder / name) for name in names)
    finally:
        shutil.rmtree(staging)
    return Export(artefacts, files, trained.step, compared_on, left_out)


def _paths(folder: Path, stem: str, formats: Sequence[str]) -> dict[str, Path]:
    return {name: folder / f"{stem}{FORMATS[name].suffix}" for name in formats}


def _network(trained: TrainedNetwork, *, workdir: Path) -> Network:
    config = trained.config
    return Network(
        name=config.model.name,
        options=model_options(config),
        num_classes=NUM_CLASSES[config.task],
        image_size=config.preparation.image_size,
        channels=CHANNELS,
        variables=jax.device_get(trained.variables),
        metadata=metadata(trained, workdir=workdir),
    )


def _write_and_compare(
    network: Network, trained: TrainedNetwork, *, length: int, paths: dict[str, Path]
) -> tuple[tuple[Artefact, ...], str]:
    images, compared_on = comparison_slices(
        trained.config.data.dir,
        length=length,
        settings=Preparation(**trained.config.preparation),
    )
    batches = np.split(images, len(images) // BATCH)
    expected = _answer_batches(network.answer(network.variables), batches)
    artefacts = []
    for name, path in track(paths.items(), description="exporting", total=len(paths)):
        FORMATS[name].write(network, path)
        answer = _answer_batches(FORMATS[name].load(network, path), batches)
        artefacts.append(compare_file(name, path, answer, expected, may_tie=network.may_tie))
    return tuple(artefacts), compared_on


def _answer_batches(answer: OutputFunction, batches: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    parts = [answer(batch) for batch in batches]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _move(source: Path, target: Path) -> Path:
    """Rename into place; an older folder goes away with what is left in the staging folder."""
    if source.is_dir() != target.is_dir() and target.exists():
        raise ConfigError(f"--out {target}: in the way; remove it or choose another name")
    if target.is_dir():
        target.rename(source.with_name(f"{source.name}.replaced"))
    return source.rename(target)
