"""TFDS builder of the drawn set: nothing to download, any size, the same bytes every time.

    mgajax build ct_phantom --data_dir DATA [--builder_config NAME]

or, with TFDS alone, `CtPhantom(data_dir=..., config=...).download_and_prepare()`. A config of
one's own: `PhantomConfig(name="mine", patients=500, shortcut=0.7)`. No TensorFlow.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import UInt8

from mgajax.curation.predicted_masks import digest_masks, predicted_folder, read_values
from mgajax.data.columns import SliceColumns
from mgajax.data.splits import stratified_split
from mgajax.errors import ConfigError, nearest
from mgajax.imaging.pictures import encode_png
from mgajax.progress import track
from mgajax.schema import CLASS_NAMES, SPLITS
from tfds_builders.ct_phantom.individual import Patient
from tfds_builders.ct_phantom.masks import MaskPlan, plan_masks
from tfds_builders.ct_phantom.slices import (
    PhantomSettings,
    PhantomSlice,
    draw_slice,
    iter_patients,
)
from tfds_builders.features import mask_feature, slice_features

_HERE = Path(__file__).parent

FRACTIONS: tuple[float, float, float] = (0.6, 0.15, 0.25)
"""Shares of train, validation and test; a small set needs a larger test share than the paper's."""


@dataclasses.dataclass(eq=False, kw_only=True)
class PhantomConfig(tfds.core.BuilderConfig):
    """What is drawn, and which lesions are annotated.

    Attributes:
      annotated: share of patients, stratified by class, whose slices keep their exact lesion mask.
        The others get none (`mask_origin` "none", `lesion_mask` all zero).
      annotated_class: the one class whose patients these are; "" for every class.
      exact_test: every test slice keeps its exact mask as well, to measure results by; nothing learns
        from a test slice.
      masks: a folder of predicted masks (`mgajax segment`) for the slices without, or "".

    The other attributes are those of `PhantomSettings`.

    Raises:
      ConfigError: `annotated` is no share, `annotated_class` no class, or `masks` no folder.
    """

    patients: int = PhantomSettings.patients
    slices_per_patient: int = PhantomSettings.slices_per_patient
    size: int = PhantomSettings.size
    shortcut: float = PhantomSettings.shortcut
    severity: float = PhantomSettings.severity
    seed: int = PhantomSettings.seed
    look: str = PhantomSettings.look
    annotated: float = 1.0
    annotated_class: str = ""
    exact_test: bool = False
    masks: str = ""

    def __post_init__(self) -> None:
        if not 0.0 <= self.annotated <= 1.0:
            raise ConfigError(
                f"annotated={self.annotated} must lie in [0, 1] (share of patients with exact masks)"
            )
        if self.annotated_class not in ("", *CLASS_NAMES):
            raise ConfigError(
                f"annotated_class={self.annotated_class!r}: "
                f"{nearest(self.annotated_class, CLASS_NAMES)}"
            )
        _ = self.mask_folder

    @property
    def mask_folder(self) -> Path | None:
        """The folder of predicted masks, if there is one."""
        return predicted_folder(self.masks, words=("",))

    @property
    def is_fully_annotated(self) -> bool:
        """Whether every slice has its exact mask."""
        return self.annotated == 1.0 and not self.annotated_class and not self.masks

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
            name="small",
            patients=120,
            slices_per_patient=4,
            size=128,
            severity=1.0,
            description="480 small slices: enough to see a network learn on two cores.",
        ),
        PhantomConfig(
            name="quickstart",
            patients=120,
            slices_per_patient=4,
            size=128,
            severity=1.0,
            annotated=0.5,
            description="As small, but lesions are annotated in half of the patients only.",
        ),
        PhantomConfig(
            name="shortcut",
            shortcut=1.0,
            description="As default, but the source gives the class away.",
        ),
    ]

    def __init__(self, *, file_format: str | None = None, **options: Any) -> None:
        """As TFDS's own, with ArrayRecord as the default format: it needs no TensorFlow."""
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
        config = self.builder_config
        settings = config.settings
        parts = split_patients(settings)
        plan = plan_masks(
            parts,
            annotated=config.annotated,
            annotated_class=config.annotated_class,
            exact_test=config.exact_test,
            folder=config.mask_folder,
            seed=settings.seed,
            size=settings.size,
        )
        summary = _summary(settings, parts)
        if not config.is_fully_annotated:
            summary |= {"annotated": config.annotated, **plan.summary}
        self.info.metadata.update(summary=summary)
        if fingerprint := self.input_fingerprint():
            self.info.metadata.update(input_fingerprint=fingerprint)
        return {
            name: self._generate_examples(patients, split=name, plan=plan)
            for name, patients in parts.items()
        }

    def input_fingerprint(self, manual_dir: None = None) -> str | None:
        """A hash of the predicted masks; None without them."""
        del manual_dir  # nothing is read from it
        folder = self.builder_config.mask_folder
        return digest_masks(folder) if folder else None

    def _generate_examples(
        self, patients: list[Patient], *, split: str, plan: MaskPlan
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (file name, features); the key decides the order, which is always the same."""
        size = self.builder_config.size
        for patient in track(patients, description=f"drawing {split}"):
            for index in range(len(patient.levels)):
                drawn = draw_slice(patient, index=index, size=size)
                yield drawn.file_name, _example(drawn, plan)


def split_patients(settings: PhantomSettings) -> dict[str, list[Patient]]:
    """The patients of each split, stratified by class, in order of their numbers.

    Raises:
      ConfigError: too few patients for every split to have one.
    """
    patients = list(iter_patients(settings))
    split = stratified_split(_columns(patients), fractions=FRACTIONS, seed=settings.seed)
    parts = {}
    for name in SPLITS:
        numbers = np.unique(split.indices(name) // settings.slices_per_patient)
        parts[name] = [patients[number] for number in numbers.tolist()]
    empty = [name for name, members in parts.items() if not members]
    if empty:
        raise ConfigError(
            f"patients={settings.patients}: split {', '.join(empty)} would have none; "
            "draw at least 24"
        )
    return parts


def _columns(patients: Sequence[Patient]) -> SliceColumns:
    """A row for each slice, patient by patient; not drawn yet, so without file names."""
    slices = [patient for patient in patients for _ in patient.levels]
    return SliceColumns(
        labels=np.array([patient.label for patient in slices], np.int32),
        patients=np.array([patient.key for patient in slices], np.str_),
        sources=np.array([patient.source for patient in slices], np.str_),
        file_names=np.full(len(slices), "", np.str_),
    )


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


def _mask(drawn: PhantomSlice, plan: MaskPlan) -> tuple[UInt8[np.ndarray, "h w"], str]:
    """The lesion mask to store, and its origin."""
    if drawn.file_name in plan.annotated:
        return drawn.lesion_mask, "annotated"
    if path := plan.predicted.get(drawn.file_name):
        height, width = drawn.image.shape
        return read_values(path, shape=(height, width)), "predicted"
    return np.zeros_like(drawn.lesion_mask), "none"


def _example(drawn: PhantomSlice, plan: MaskPlan) -> dict[str, Any]:
    patient = drawn.patient
    mask, origin = _mask(drawn, plan)
    return {
        "image": encode_png(drawn.image),
        "lesion_mask": encode_png(mask),
        "lung_mask": encode_png(drawn.lung_mask),
        "mask_origin": origin,
        "label": patient.label,
        "patient": patient.key,
        "source": patient.source,
        "file_name": drawn.file_name,
        "country": "",
        "age": patient.age,
        "gender": patient.gender,
        "flags": ",".join(drawn.flags),
    }
