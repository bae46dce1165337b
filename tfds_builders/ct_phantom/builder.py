"""TFDS builder of the drawn set: nothing to download, any size, the same bytes every time.

    mgajax build ct_phantom --data_dir DATA [--builder_config NAME]

or, with TFDS alone, `CtPhantom(data_dir=..., config=...).download_and_prepare()`. A config of
one's own: `PhantomConfig(name="mine", patients=500, shortcut=0.7)`. No TensorFlow.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from mgajax.data.splits import stratified_split
from mgajax.errors import ConfigError
from mgajax.progress import track
from mgajax.schema import CLASS_NAMES, SPLITS
from tfds_builders.ct_phantom.individual import Patient
from tfds_builders.ct_phantom.slices import (
    PhantomSettings,
    PhantomSlice,
    draw_slice,
    iter_patients,
)
from tfds_builders.features import encode_png, mask_feature, slice_features

_HERE = Path(__file__).parent

FRACTIONS: tuple[float, float, float] = (0.6, 0.15, 0.25)
"""Shares of train, validation and test; a small set needs a larger test share than the paper's."""


@dataclasses.dataclass(eq=False, kw_only=True)
class PhantomConfig(tfds.core.BuilderConfig):
    """What is drawn; the fields are those of `PhantomSettings`."""

    patients: int = PhantomSettings.patients
    slices_per_patient: int = PhantomSettings.slices_per_patient
    size: int = PhantomSettings.size
    shortcut: float = PhantomSettings.shortcut
    severity: float = PhantomSettings.severity
    seed: int = PhantomSettings.seed

    @property
    def settings(self) -> PhantomSettings:
        """The dials without TFDS.

        Raises:
          ConfigError: a dial is out of range.
        """
        names = [field.name for field in dataclasses.fields(PhantomSettings)]
        return PhantomSettings(**{name: getattr(self, name) for name in names})


class CtPhantom(tfds.core.GeneratorBasedBuilder):
    """Drawn chest CT slices of three classes, with exact lesion and lung masks."""

    name = "ct_phantom"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First version."}
    BUILDER_CONFIGS: ClassVar = [
        PhantomConfig(name="default", description="240 patients, 8 slices each, 256 pixels wide."),
        PhantomConfig(
            name="tiny",
            patients=24,
            slices_per_patient=3,
            size=96,
            description="For tests: 72 small slices, built in seconds.",
        ),
        PhantomConfig(
            name="quickstart",
            patients=120,
            slices_per_patient=4,
            size=128,
            severity=1.0,
            description="480 small slices: enough to see a network learn on two cores.",
        ),
        PhantomConfig(
            name="shortcut",
            shortcut=1.0,
            description="As default, but the source gives the class away.",
        ),
    ]

    def __init__(self, *, file_format: str | None = None, **options: Any) -> None:
        """As TFDS's own, but ArrayRecord is the default format: it needs no TensorFlow."""
        super().__init__(file_format=file_format or "array_record", **options)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=(_HERE / "README.md").read_text(encoding="utf-8"),
            features=tfds.features.FeaturesDict({**slice_features(), "lung_mask": mask_feature()}),
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        del dl_manager  # nothing to download
        settings = self.builder_config.settings
        parts = split_patients(settings)
        self.info.metadata.update(summary=_summary(settings, parts))
        return {
            name: self._generate_examples(patients, split=name) for name, patients in parts.items()
        }

    def _generate_examples(
        self, patients: list[Patient], *, split: str
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (file name, features): the key decides the order, so it is the same every time."""
        size = self.builder_config.size
        for patient in track(patients, description=f"drawing {split}"):
            for index in range(len(patient.levels)):
                drawn = draw_slice(patient, index=index, size=size)
                yield drawn.file_name, _example(drawn)


def split_patients(settings: PhantomSettings) -> dict[str, list[Patient]]:
    """The patients of each split, stratified by class, in order of their numbers.

    Raises:
      ConfigError: too few patients for every split to have one.
    """
    patients = list(iter_patients(settings))
    split = stratified_split(
        labels=np.repeat([p.label for p in patients], settings.slices_per_patient),
        patients=[p.key for p in patients for _ in p.levels],
        sources=[p.source for p in patients for _ in p.levels],
        fractions=FRACTIONS,
        seed=settings.seed,
    )
    parts = {}
    for name in SPLITS:
        chosen = np.unique(split.indices(name) // settings.slices_per_patient)
        parts[name] = [patients[number] for number in chosen.tolist()]
    empty = [name for name, members in parts.items() if not members]
    if empty:
        raise ConfigError(
            f"patients={settings.patients}: split {', '.join(empty)} would have none; "
            "draw at least 24"
        )
    return parts


def _summary(settings: PhantomSettings, parts: dict[str, list[Patient]]) -> dict[str, Any]:
    return {
        **dataclasses.asdict(settings),
        "slices": settings.patients * settings.slices_per_patient,
        "patients_by_split": {
            name: {
                class_name: sum(p.label == label for p in members)
                for label, class_name in enumerate(CLASS_NAMES)
            }
            for name, members in parts.items()
        },
    }


def _example(drawn: PhantomSlice) -> dict[str, Any]:
    patient = drawn.patient
    return {
        "image": encode_png(drawn.image),
        "lesion_mask": encode_png(drawn.lesion_mask),
        "lung_mask": encode_png(drawn.lung_mask),
        "mask_origin": "annotated",
        "label": patient.label,
        "patient": patient.key,
        "source": patient.source,
        "file_name": drawn.file_name,
        "country": "",
        "age": patient.age,
        "gender": patient.gender,
        "flags": ",".join(drawn.flags),
    }
