"""Configurations: the schema with every default, files that start from it, and `config.json` of a run.

A configuration is plain Python returning an `ml_collections.ConfigDict`. Keys that the schema does
not define cannot be set, so a misspelt key is an error.
"""

from mgajax.config.keys import (
    RESUMABLE,
    assert_same_run,
    check_keys,
    deciding_keys,
    flatten,
    missing_keys,
    override_resumable,
)
from mgajax.config.loading import load, shipped_file, shipped_names
from mgajax.config.presets import add_search, data_size_arms, fit_phantom, phantom_classifier
from mgajax.config.record import (
    CONFIG_FILE,
    ROOT,
    numbers_digest,
    provenance,
    read,
    write,
)
from mgajax.config.schema import classification, segmentation

__all__ = [
    "CONFIG_FILE",
    "RESUMABLE",
    "ROOT",
    "add_search",
    "assert_same_run",
    "check_keys",
    "classification",
    "data_size_arms",
    "deciding_keys",
    "fit_phantom",
    "flatten",
    "load",
    "missing_keys",
    "numbers_digest",
    "override_resumable",
    "phantom_classifier",
    "provenance",
    "read",
    "segmentation",
    "shipped_file",
    "shipped_names",
    "write",
]
