"""Each source in turn is the test set: does a classifier work for a hospital that is new to it?

    mgajax experiment leave_one_source_out --workdir runs/sources --runs runs/shared [--data DATASET]

In the curated set all CAP slices come from Afshar: without it, that class cannot be learned.
"""

from ml_collections import ConfigDict

from mgajax.config import classification
from mgajax.schema import SOURCES

MODELS = {"cbam": "resnet18_cbam", "mga": "mga_resnet18"}


def get_config() -> ConfigDict:
    """`cbam_zhao`, `mga_zhao`, … for each source."""
    plan = ConfigDict(sort_keys=False)
    for source in SOURCES:
        for name, network in MODELS.items():
            config = classification(network)
            config.split.kind = "leave_one_source_out"
            config.split.source = source
            plan[f"{name}_{source}"] = config
    return plan
