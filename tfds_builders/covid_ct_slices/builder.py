"""TFDS builder of the curated classification set, from a download in the Kaggle layout.

    mgajax build covid_ct_slices --manual_dir DOWNLOAD --data_dir DATA

or, with TFDS alone, `CovidCtSlices(data_dir=...).download_and_prepare(download_config=
tfds.download.DownloadConfig(manual_dir=...))`. Neither needs TensorFlow. What was found on the way
is printed, and kept in the data set's `metadata.json`.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, get_args

import numpy as np
import tensorflow_datasets as tfds

from mgajax.curation.catalogue import Catalogue, Masks, input_fingerprint, read_catalogue
from mgajax.curation.kaggle_layout import find_layout
from mgajax.curation.records import SliceRecord, read_mask, read_pixels
from mgajax.data.splits import default_split
from mgajax.errors import ConfigError, DataError, nearest
from mgajax.progress import track
from mgajax.schema import CLASS_NAMES, SPLITS
from tfds_builders.features import encode_png, slice_features

_HERE = Path(__file__).parent


@dataclasses.dataclass(eq=False, kw_only=True)
class CovidCtSlicesConfig(tfds.core.BuilderConfig):
    """What is built.

    Attributes:
      masks: whether lesion masks beside the slices are used.
      max_damage_share: share of names in [0, 1] that may be damaged or unmatched; above it the
        build fails. The published set has none, once its two renamed rows are understood.
      split_seed: which of the many splits with the paper's counts is built.

    Raises:
      ConfigError: an attribute has an impossible value.
    """

    masks: Masks = "use"
    max_damage_share: float = 0.01
    split_seed: int = 0

    def __post_init__(self) -> None:
        if self.masks not in get_args(Masks):
            raise ConfigError(f"masks={self.masks!r}; {nearest(self.masks, get_args(Masks))}")
        if not 0 <= self.max_damage_share <= 1:
            raise ConfigError(
                f"max_damage_share={self.max_damage_share} is no share; give a number from 0 to 1"
            )


class CovidCtSlices(tfds.core.GeneratorBasedBuilder):
    """Chest CT slices labelled Normal, COVID-19 or CAP, with lesion masks where annotated."""

    name = "covid_ct_slices"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First version: the Kaggle layout."}
    BUILDER_CONFIGS: ClassVar[list[CovidCtSlicesConfig]] = [
        CovidCtSlicesConfig(name="default", description="With lesion masks, where there are any."),
        CovidCtSlicesConfig(
            name="without_masks", masks="ignore", description="Lesion masks are not looked for."
        ),
        CovidCtSlicesConfig(
            name="partial",
            max_damage_share=1.0,
            description="Takes what is there: any share of rows or pictures may be missing.",
        ),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Download https://www.kaggle.com/datasets/maedemaftouni/large-covid19-ct-slice-dataset and unpack
    it, so that manual_dir holds curated_data/ and meta_data_{covid,normal,cap}.csv. For lesion masks
    put the folder masks/ of
    https://www.kaggle.com/datasets/maedemaftouni/covid19-ct-scan-lesion-segmentation-dataset
    beside curated_data/.
    """

    def __init__(self, *, file_format: str | None = None, **options: Any) -> None:
        """As TFDS's own, but ArrayRecord is the default format: it needs no TensorFlow."""
        super().__init__(file_format=file_format or "array_record", **options)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=(_HERE / "README.md").read_text(encoding="utf-8"),
            features=tfds.features.FeaturesDict(slice_features()),
            homepage="https://www.kaggle.com/datasets/maedemaftouni/large-covid19-ct-slice-dataset",
            citation=(_HERE / "CITATIONS.bib").read_text(encoding="utf-8"),
            metadata=tfds.core.MetadataDict(),
        )

    def input_fingerprint(self, manual_dir: Path) -> str:
        """A hash of what would be read from `manual_dir`; see `catalogue.input_fingerprint`."""
        return input_fingerprint(find_layout(manual_dir), masks=self.builder_config.masks)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        manual_dir = Path(dl_manager.manual_dir)
        config = self.builder_config
        fingerprint = self.input_fingerprint(manual_dir)
        catalogue = read_catalogue(
            manual_dir, max_damage_share=config.max_damage_share, masks=config.masks
        )
        parts, summary = _split(catalogue, seed=config.split_seed)
        self.info.metadata.update(input_fingerprint=fingerprint, summary=summary)
        return {
            name: self._generate_examples(records, split=name) for name, records in parts.items()
        }

    def _generate_examples(
        self, records: list[SliceRecord], *, split: str
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (file name, features): the key decides the order, so it is the same every time."""
        for record in track(records, description=f"writing {split}"):
            yield record.file_name, _example(record)


def _split(
    catalogue: Catalogue, *, seed: int
) -> tuple[dict[str, list[SliceRecord]], dict[str, Any]]:
    """The records of each split, and the summary of the build.

    Raises:
      DataError: when a split would be empty.
    """
    records = catalogue.records
    labels = np.array([record.label for record in records], dtype=np.int64)
    split = default_split(
        labels=labels,
        patients=[record.patient for record in records],
        sources=[record.source for record in records],
        seed=seed,
    )
    parts = {name: [records[row] for row in split.indices(name)] for name in SPLITS}
    empty = [name for name, members in parts.items() if not members]
    if empty:
        raise DataError(
            f"split {', '.join(empty)} would have no slice: {catalogue.report.patients} patients "
            "are too few; add patients (three of one class fill every split)"
        )
    summary = {
        **catalogue.report.to_json(),
        "split": split.name,
        "split_seed": seed,
        "split_notes": list(split.notes),
        "slices_by_split": split.counts(labels),
        "patients_by_split": {
            name: {
                class_name: len({r.patient for r in members if r.label == label})
                for label, class_name in enumerate(CLASS_NAMES)
            }
            for name, members in parts.items()
        },
    }
    return parts, summary


def _example(record: SliceRecord) -> dict[str, Any]:
    pixels = read_pixels(record)
    mask = read_mask(record)
    origin = "none" if mask is None else "annotated"
    if mask is None:
        mask = np.zeros((record.height, record.width), dtype=np.uint8)
    return {
        "image": pixels if isinstance(pixels, bytes) else encode_png(pixels),
        "lesion_mask": encode_png(mask),
        "mask_origin": origin,
        "label": record.label,
        "patient": record.patient,
        "source": record.source,
        "file_name": record.file_name,
        "country": record.country,
        "age": record.age,
        "gender": record.gender,
        "flags": ",".join(record.flags),
    }
