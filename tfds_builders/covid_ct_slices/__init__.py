"""The curated classification set: 17,104 chest CT slices of three classes from seven archives."""

from tfds_builders.covid_ct_slices.builder import CovidCtSlices, CovidCtSlicesConfig

__all__ = ["CovidCtSlices", "CovidCtSlicesConfig"]
