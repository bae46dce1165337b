"""The companion lesion set: 2,729 COVID-19 slices with annotated lesion masks."""

from tfds_builders.covid_ct_lesions.builder import CovidCtLesions, CovidCtLesionsConfig

__all__ = ["CovidCtLesions", "CovidCtLesionsConfig"]
