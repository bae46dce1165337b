"""TFDS builder of the curated classification set, from a download in the Kaggle layout.

    mgajax build covid_ct_slices --manual_dir DOWNLOAD --data_dir DATA

or, with TFDS alone, `CovidCtSlices(data_dir=...).download_and_prepare(download_config=
tfds.download.DownloadConfig(manual_dir=...))`. Neither needs TensorFlow.
"""

import dataclasses
from pathlib import Path
from typing import ClassVar

import tensorflow_datasets as tfds

from mgajax.curation.catalogue import Catalogue, input_fingerprint, read_catalogue
from mgajax.curation.kaggle_layout import find_layout
from mgajax.curation.predicted_masks import predicted_folder
from mgajax.data.columns import SliceColumns
from mgajax.data.splits import Split, default_split
from tfds_builders.catalogued import CataloguedBuilder, CataloguedConfig


@dataclasses.dataclass(eq=False, kw_only=True)
class CovidCtSlicesConfig(CataloguedConfig):
    """The options.

    Attributes:
      masks: "use" the lesion masks beside the slices or "ignore" them; or a folder of predicted
        masks (`mgajax segment`) for the slices without an annotated one.

    Raises:
      ConfigError: an attribute has an impossible value.
    """

    masks: str = "use"

    def __post_init__(self) -> None:
        super().__post_init__()
        predicted_folder(self.masks)


class CovidCtSlices(CataloguedBuilder):
    """Chest CT slices labelled Normal, COVID-19 or CAP, with lesion masks where annotated."""

    name = "covid_ct_slices"
    FOLDER = Path(__file__).parent
    HOMEPAGE = "https://www.kaggle.com/datasets/maedemaftouni/large-covid19-ct-slice-dataset"
    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "1.0.0": "First version: the Kaggle layout.",
        "1.1.0": "Five more double identities are merged, so that the splits are others; effusion is "
        "lesion in masks of labels, too.",
    }
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

    def input_fingerprint(self, manual_dir: Path) -> str:
        """A hash of the input in `manual_dir`; see `catalogue.input_fingerprint`."""
        return input_fingerprint(find_layout(manual_dir), masks=self.builder_config.masks)

    def read(self, manual_dir: Path) -> Catalogue:
        """The verified slices; see `catalogue.read_catalogue`."""
        config = self.builder_config
        return read_catalogue(
            manual_dir, max_damage_share=config.max_damage_share, masks=config.masks
        )

    def split(self, table: SliceColumns) -> Split:
        """Table 2's counts for the full set, see `mgajax.data.splits.default_split`."""
        return default_split(table, seed=self.builder_config.split_seed)
