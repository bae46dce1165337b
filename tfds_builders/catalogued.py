"""The base of the builders of real slices: a catalogue is read, split by people, and written.

A builder adds its reading and its split. Findings are printed, and kept in the data set's
`metadata.json`.
"""

import abc
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from mgajax.curation.catalogue import Catalogue, join_people
from mgajax.curation.patient_ids import read_double_identities, second_ids
from mgajax.curation.records import SliceRecord, read_mask, read_pixels
from mgajax.data.columns import SliceColumns
from mgajax.data.splits import Split
from mgajax.errors import ConfigError, DataError, quantity
from mgajax.imaging.pictures import encode_png
from mgajax.progress import track
from mgajax.schema import CLASS_NAMES, SPLITS
from tfds_builders.features import slice_features


@dataclasses.dataclass(eq=False, kw_only=True)
class CataloguedConfig(tfds.core.BuilderConfig):
    """The options of all builders of real slices.

    Attributes:
      max_damage_share: share of names in [0, 1] that may be damaged or unmatched; above it the
        build fails. The published sets have none.
      split_seed: chooses one of the many splits with the same counts.
      merge: an `audit.json`, whose double identities count as one person each; or "".

    Raises:
      ConfigError: an attribute has an impossible value.
      DataError: `merge` is no audit.
    """

    max_damage_share: float = 0.01
    split_seed: int = 0
    merge: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.max_damage_share <= 1:
            raise ConfigError(
                f"max_damage_share={self.max_damage_share} is no share; give a number from 0 to 1"
            )
        _ = self.first_ids

    @functools.cached_property
    def first_ids(self) -> dict[str, str]:
        """Second id -> the id that counts, by the audit `merge`."""
        return second_ids(read_double_identities(Path(self.merge))) if self.merge else {}


class CataloguedBuilder(tfds.core.GeneratorBasedBuilder):
    """A builder of verified slices; `FOLDER` holds its README.md and CITATIONS.bib."""

    FOLDER: ClassVar[Path]
    HOMEPAGE: ClassVar[str]

    def __init__(self, *, file_format: str | None = None, **options: Any) -> None:
        """As TFDS's own, with ArrayRecord as the default format: it needs no TensorFlow."""
        super().__init__(file_format=file_format or "array_record", **options)

    @abc.abstractmethod
    def input_fingerprint(self, manual_dir: Path) -> str:
        """A hash of the input in `manual_dir`."""

    @abc.abstractmethod
    def read(self, manual_dir: Path) -> Catalogue:
        """The verified slices of `manual_dir`.

        Raises:
          DataError: unusable input.
        """

    @abc.abstractmethod
    def split(self, table: SliceColumns) -> Split:
        """The split of the slices, see `mgajax.data.splits`."""

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=(self.FOLDER / "README.md").read_text(encoding="utf-8"),
            features=tfds.features.FeaturesDict(slice_features()),
            homepage=self.HOMEPAGE,
            citation=(self.FOLDER / "CITATIONS.bib").read_text(encoding="utf-8"),
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        manual_dir = Path(dl_manager.manual_dir)
        fingerprint = self.input_fingerprint(manual_dir)
        catalogue = join_people(self.read(manual_dir), first_ids=self.builder_config.first_ids)
        split = self.split(columns(catalogue.records))
        parts = members(catalogue, split)
        summary = summarise(catalogue, split, parts=parts, seed=self.builder_config.split_seed)
        summary["merged"] = self.builder_config.first_ids
        self.info.metadata.update(input_fingerprint=fingerprint, summary=summary)
        return {
            name: self._generate_examples(records, split=name) for name, records in parts.items()
        }

    def _generate_examples(
        self, records: list[SliceRecord], *, split: str
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (file name, features); the key decides the order, which is always the same."""
        for record in track(records, description=f"writing {split}"):
            yield record.file_name, example(record)


def columns(records: Sequence[SliceRecord]) -> SliceColumns:
    """The columns that a split needs, with an entry for each slice."""
    return SliceColumns(
        labels=np.array([record.label for record in records], np.int32),
        patients=np.array([record.patient for record in records], np.str_),
        sources=np.array([record.source for record in records], np.str_),
        file_names=np.array([record.file_name for record in records], np.str_),
    )


def members(catalogue: Catalogue, split: Split) -> dict[str, list[SliceRecord]]:
    """The records of each split.

    Raises:
      DataError: a split would be empty.
    """
    parts = {name: [catalogue.records[row] for row in split.indices(name)] for name in SPLITS}
    empty = [name for name, records in parts.items() if not records]
    if empty:
        raise DataError(
            f"split {', '.join(empty)} would have no slice, from {quantity(catalogue.report.patients, 'patient')}; "
            "add patients (three of one class fill every split)"
        )
    return parts


def summarise(
    catalogue: Catalogue, split: Split, *, parts: dict[str, list[SliceRecord]], seed: int
) -> dict[str, Any]:
    """Report of the input, and the numbers of each split, in plain JSON types."""
    return {
        **catalogue.report.to_json(),
        "split": split.name,
        "split_seed": seed,
        "split_notes": list(split.notes),
        "slices_by_split": split.counts(columns(catalogue.records).labels),
        "patients_by_split": {
            name: {
                class_name: len({r.patient for r in records if r.label == label})
                for label, class_name in enumerate(CLASS_NAMES)
            }
            for name, records in parts.items()
        },
    }


def example(record: SliceRecord) -> dict[str, Any]:
    """The features of one slice.

    Raises:
      DataError: its picture or mask changed since it was verified.
    """
    pixels = read_pixels(record)
    mask = read_mask(record)
    if mask is None:
        mask = np.zeros((record.height, record.width), dtype=np.uint8)
    return {
        "image": pixels if isinstance(pixels, bytes) else encode_png(pixels),
        "lesion_mask": encode_png(mask),
        "mask_origin": record.mask_origin,
        "label": record.label,
        "patient": record.patient,
        "source": record.source,
        "file_name": record.file_name,
        "country": record.country,
        "age": record.age,
        "gender": record.gender,
        "flags": ",".join(record.flags),
    }
