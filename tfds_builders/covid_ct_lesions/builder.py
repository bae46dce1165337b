"""TFDS builder of the companion lesion set: pairs of frames and masks, from a Kaggle download.

    mgajax build covid_ct_lesions --manual_dir DOWNLOAD --data_dir DATA

Records are those of `covid_ct_slices`. Needs no TensorFlow.
"""

import dataclasses
import functools
from pathlib import Path
from typing import ClassVar

import tensorflow_datasets as tfds

from mgajax.curation.catalogue import Catalogue, files_fingerprint, join_catalogues, read_catalogue
from mgajax.curation.kaggle_layout import find_layout
from mgajax.curation.lesion_pairs import (
    add_medseg_patient,
    find_pairs,
    pairs_fingerprint,
    read_pairs,
)
from mgajax.data.columns import SliceColumns
from mgajax.data.splits import Split, lesion_split
from mgajax.data.table import read_table
from mgajax.schema import NORMAL, SPLITS
from tfds_builders.catalogued import CataloguedBuilder, CataloguedConfig

ALONE = "people who test in covid_ct_slices may train here: --test_with DIR keeps them out"


@dataclasses.dataclass(eq=False, kw_only=True)
class CovidCtLesionsConfig(CataloguedConfig):
    """The options; see `CataloguedConfig`.

    Attributes:
      test_with: a built classification set, or "". Its test people are not used for training here, so
        that no segmenter that has seen a person predicts masks of that person's test slices.
      healthy: a curated set as it was downloaded (the folder of curated_data/), or "". Its Normal
        slices join the pairs, without a mask: `data.normal_mask=empty` makes them examples of lungs
        without a lesion.

    Raises:
      DataError: `test_with` is no built data set, or `healthy` no curated one.
    """

    test_with: str = ""
    healthy: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.test_patients, self.healthy_fingerprint

    @functools.cached_property
    def healthy_fingerprint(self) -> str:
        """A hash of what would be read from `healthy`; "" without."""
        if not self.healthy:
            return ""
        layout = find_layout(Path(self.healthy).expanduser())
        return files_fingerprint([layout.tables[NORMAL]], folders=[layout.class_folders[NORMAL]])

    @functools.cached_property
    def test_patients(self) -> frozenset[str]:
        """The ids in this set of the test people of `test_with`."""
        if not self.test_with:
            return frozenset()
        table = read_table(self.test_with)
        patients = table.patients[table.built_split == SPLITS.index("test")].tolist()
        return add_medseg_patient(self.first_ids.get(patient, patient) for patient in patients)


class CovidCtLesions(CataloguedBuilder):
    """COVID-19 chest CT slices with annotated lesion masks."""

    name = "covid_ct_lesions"
    FOLDER = Path(__file__).parent
    HOMEPAGE = (
        "https://www.kaggle.com/datasets/maedemaftouni/covid19-ct-scan-lesion-segmentation-dataset"
    )
    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "1.0.0": "First version: frames/ and masks/.",
        "1.1.0": "More double identities are merged; effusion is lesion in masks of labels, too.",
    }
    BUILDER_CONFIGS: ClassVar[list[CovidCtLesionsConfig]] = [
        CovidCtLesionsConfig(name="default", description="Every usable pair."),
        CovidCtLesionsConfig(
            name="partial",
            max_damage_share=1.0,
            description="Takes what is there: any share of frames or masks may be missing.",
        ),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Download
    https://www.kaggle.com/datasets/maedemaftouni/covid19-ct-scan-lesion-segmentation-dataset
    and unpack it, so that manual_dir holds frames/ and masks/. Put meta_data_covid.csv of
    https://www.kaggle.com/datasets/maedemaftouni/large-covid19-ct-slice-dataset beside them: it
    names the people of the MedSeg slices.
    """

    def input_fingerprint(self, manual_dir: Path) -> str:
        """A hash of the input in `manual_dir` and of `healthy`."""
        return pairs_fingerprint(find_pairs(manual_dir)) + self.builder_config.healthy_fingerprint

    def read(self, manual_dir: Path) -> Catalogue:
        """The verified pairs, see `lesion_pairs.read_pairs`, after the slices of healthy people."""
        config = self.builder_config
        pairs = read_pairs(manual_dir, max_damage_share=config.max_damage_share)
        if not config.healthy:
            return pairs
        healthy = read_catalogue(
            Path(config.healthy).expanduser(),
            max_damage_share=config.max_damage_share,
            masks="ignore",
            labels=[NORMAL],
        )
        return join_catalogues(healthy, pairs)

    def split(self, table: SliceColumns) -> Split:
        """2,329/200/200 for the full set, see `mgajax.data.splits.lesion_split`."""
        config = self.builder_config
        split = lesion_split(table, seed=config.split_seed, held_out=config.test_patients)
        return (
            split if config.test_with else dataclasses.replace(split, notes=(*split.notes, ALONE))
        )
