"""How lesions and bodies look in prepared slices, by source: real ones beside drawn ones.

    python docs/measurements/lesion_looks.py --data NAME=DIR NAME=DIR --out docs/measurements/lesion_looks.json

Over annotated COVID-19 slices with a lesion, at 128 pixels a side: the mean grey of lesions and quantiles of the
grey of the body (0 to 1), and the median share of a slice that is lesion. The dials of ct_phantom's `archive`
look were set by these numbers.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from mgajax import config as configs
from mgajax.config import segmentation
from mgajax.data.cache import PreparedSet, open_prepared_set
from mgajax.data.preparation import Preparation
from mgajax.files import write_json
from mgajax.schema import COVID, MASK_ORIGINS

SIZE = 128
HALF = 128
QUANTILES = (5, 25, 50, 75, 95)


def main() -> None:
    """Measure every set, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", required=True, metavar="NAME=DIR")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    config = segmentation("hmsanet")
    config.preparation.image_size = SIZE
    settings = Preparation(**config.preparation)
    content: dict[str, Any] = {}
    for name, _, place in (word.partition("=") for word in arguments.data):
        content[name] = looks(open_prepared_set(place, settings=settings, cache_dir=None))
    write_json({"sets": content, "provenance": configs.provenance()}, arguments.out)
    print(json.dumps(content, indent=2))


def looks(prepared: PreparedSet) -> dict[str, dict[str, Any]]:
    """The numbers of each source that has lesions."""
    table = prepared.table
    annotated = (table.mask_origins == MASK_ORIGINS[1]) & (table.labels == COVID)
    sources = {}
    for source in np.unique(table.sources[annotated]).tolist():
        rows = np.flatnonzero(annotated & (table.sources == source))
        rows = rows[(prepared.masks[rows] >= HALF).any(axis=(1, 2, 3))]
        lesion, grey = prepared.masks[rows] >= HALF, prepared.images[rows] / 255.0
        sources[source] = {
            "slices": len(rows),
            "lesion": round(float(grey[lesion].mean()), 3),
            "body": np.percentile(grey[grey > 0], QUANTILES).round(3).tolist(),
            "area": round(float(np.median(lesion.mean(axis=(1, 2, 3)))), 4),
        }
    return sources


if __name__ == "__main__":
    main()
