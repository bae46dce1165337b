"""The model card: what a network was trained on, how well it does, and what it is not for."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mgajax import config as configs
from mgajax import models
from mgajax.config import CONFIG_FILE
from mgajax.evaluation.evaluation_report import EVALUATION_FOLDER
from mgajax.interop.export.comparison import Artefact
from mgajax.interop.formats import FORMATS
from mgajax.interop.network import Network
from mgajax.reporting.html.blocks import Block, Code, Section, Table
from mgajax.reporting.html.markdown import as_markdown
from mgajax.reporting.tables.limits import LIMITS, NOTICE
from mgajax.reporting.tables.metrics_tables import metrics_table, segmentation_table
from mgajax.schema import CLASS_NAMES, SPLITS
from mgajax.training.tasks import TaskName

INTENDED = {
    TaskName.CLASSIFICATION: (
        "Research on telling COVID-19, CAP (community-acquired pneumonia) and Normal apart on single "
        "axial slices of chest CT, and on where such a network looks."
    ),
    TaskName.SEGMENTATION: (
        "Research on outlining lung lesions on single axial slices of chest CT, and on masks that "
        "guide a classifier's attention."
    ),
}


def model_card(
    network: Network,
    artefacts: Sequence[Artefact],
    *,
    split_rows: Sequence[Mapping[str, str]],
    workdir: Path,
    staging: Path,
    compared_on: str,
) -> str:
    """The card as Markdown, without a last newline.

    Args:
      network: what was exported.
      artefacts: its files.
      split_rows: of the run's `split.csv`.
      workdir: the run's folder; results are those of its `evaluation/`.
      staging: where the files are made.
      compared_on: the slices that the files were compared on.
    """
    metadata = network.metadata
    size = f"{models.count(network.variables):,} parameters"
    training = metadata["training"]
    introduction = (
        NOTICE,
        f"{network.name} ({size}), for {metadata['task']}: {', '.join(metadata['class_names'])}. "
        f"Trained for {training['step']:,} steps with {training['activations']} activations.",
        *([f"Options: {json.dumps(metadata['model']['options'])}."] if network.options else []),
    )
    sections = (
        Section("What it is", introduction),
        Section("Intended use", (INTENDED[TaskName(metadata["task"])],)),
        Section("Input and output", tuple(_interface(network))),
        Section("Data", tuple(_data(training, split_rows=split_rows, workdir=workdir))),
        Section("Results", tuple(_results(workdir, step=training["step"]))),
        Section("Limits", LIMITS),
        Section("Files", tuple(_files(artefacts, staging=staging, compared_on=compared_on))),
        Section("Versions", (_versions(metadata),)),
    )
    return as_markdown(f"Model card: {network.name}", sections).rstrip("\n")


def _interface(network: Network) -> Iterator[Block]:
    images, preparation = network.metadata["input"], network.metadata["preparation"]
    side, scale = network.image_size, images["normalisation"]
    yield (
        f"Input: {images['name']}, {images['dtype']} [batch, {side}, {side}, {network.channels}] "
        f"(PyTorch: [batch, {network.channels}, {side}, {side}]), grey levels normalised as "
        f"{scale['formula']}; mean {scale['mean']}, std {scale['std']}."
    )
    yield Table(
        ("preparation of a slice", "value"),
        tuple((key, str(value)) for key, value in preparation.items()),
    )
    yield (
        f"Output: logits and probabilities over {', '.join(network.metadata['class_names'])}, last "
        "axis (PyTorch: logits, classes on axis 1), for each slice or, of a segmenter, each pixel; "
        "attention maps as attention_NAME where the network has any."
    )


def _data(
    training: dict[str, Any], *, split_rows: Sequence[Mapping[str, str]], workdir: Path
) -> Iterator[Block]:
    config, _ = configs.read(workdir / CONFIG_FILE)
    name = "/".join(Path(config.data.dir).parts[-3:])
    yield (
        f"Data set {name}, fingerprint {training['data_fingerprint']}. Split: {training['split']}, "
        f"SHA-256 of split.csv {training['split_sha256']}."
    )
    counts = []
    for split in SPLITS:
        rows = [row for row in split_rows if row["split"] == split]
        by_class = [sum(row["label"] == label for row in rows) for label in CLASS_NAMES]
        numbers = (*by_class, len(rows), len({row["patient"] for row in rows}))
        counts.append((split, *(f"{number:,}" for number in numbers)))
    yield Table(("split", *CLASS_NAMES, "slices", "patients"), tuple(counts))


def _results(workdir: Path, *, step: int) -> Iterator[Block]:
    measured = [
        metrics
        for path in sorted((workdir / EVALUATION_FOLDER).glob("*.json"))
        if (metrics := json.loads(path.read_text())).get("checkpoint_step") == step
    ]
    if not measured:
        yield "Not evaluated: mgajax evaluate measures this checkpoint, with intervals."
    for metrics in measured:
        if metrics.get("split_leaks"):
            yield "Patients stand in several splits: these numbers are too good."
        segments = metrics["task"] == TaskName.SEGMENTATION
        yield Code((segmentation_table if segments else metrics_table)(metrics))


def _files(artefacts: Sequence[Artefact], *, staging: Path, compared_on: str) -> Iterator[Block]:
    yield (
        f"Each file was loaded by its own runtime and compared with the checkpoint on {compared_on}. "
        "Differences are relative to the largest value."
    )
    rows = [
        (
            artefact.file,
            f"{_size(staging / artefact.file) / 1e6:.1f} MB",
            artefact.agreement,
            _digest(staging / artefact.file),
        )
        for artefact in artefacts
    ]
    yield Table(("file", "size", "agreement", "SHA-256"), tuple(rows))
    for artefact in artefacts:
        stem = artefact.file.removesuffix(FORMATS[artefact.name].suffix)
        yield Code(FORMATS[artefact.name].usage.replace("STEM", stem))


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _digest(path: Path) -> str:
    return "a folder" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()


def _versions(metadata: dict[str, Any]) -> Table:
    trained, exported = metadata["training"]["provenance"] or {}, metadata["exported_by"]
    names = dict.fromkeys([*exported, *trained])
    rows = ((name, str(trained.get(name, "")), str(exported.get(name, ""))) for name in names)
    return Table(("package", "training", "export"), tuple(rows))
