"""The design of the experiment and counts of its training data, for the results."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool
from ml_collections import ConfigDict

from mgajax.data.preparation import Preparation
from mgajax.data.table import SliceTable
from mgajax.experiments.real.arms import Start, labels_of
from mgajax.experiments.real.chain import Chain
from mgajax.schema import CLASS_NAMES, MASK_ORIGINS

EVERY = "all"
"""Stands for all sources together."""

AN_EPOCH_HAS = {"slices": "every slice once", "sources": "slices of small sources more often"}
"""By `data.sampling`."""

Counts = Mapping[str, int]
"""Numbers of slices, patients, annotated masks, and slices of each class."""


def describe_design(chain: Chain) -> dict[str, Any]:
    """Folds, seeds, preparation and initialisation of the networks, as plain values.

    `guide` is empty where no segmenter is trained, `classes` where no classifier is.
    """
    networks = {**chain.segmenters, **chain.classifiers}
    names = labels_of(networks)
    settings = next(iter(networks.values())).preparation
    preparation = Preparation(**settings)
    present = list[int]()
    if chain.classifiers and "slices" in chain.tables:
        labels = chain.tables["slices"].labels[_taking_part(chain, "slices")]
        present = np.unique(labels).tolist()
    return {
        "folds": chain.budget.folds,
        "seeds": len(chain.seeds),
        "classes": [CLASS_NAMES[label] for label in present],
        "guide": names.get(chain.order.segmenter, "") if "lesions" in chain.tables else "",
        "drawn": {
            "slices": len(chain.drawn),
            "people": len(np.unique(chain.drawn.patients)),
            "steps": _pretraining_steps(chain),
        },
        "stands_in": chain.sets.are_drawn,
        "preparation": {key: value for key, value in settings.items() if key != "image_size"},
        "preparation_version": preparation.version,
        "recipes": {names[name]: _describe_recipe(config) for name, config in networks.items()},
    }


def _describe_recipe(config: ConfigDict) -> dict[str, str]:
    """In what the recipes of networks differ, by the heading of a column."""
    options = ", ".join(f"{key} {value}" for key, value in config.model.options.items())
    return {
        "Options": options or "none",
        "Optimiser": f"{config.optimiser.name}, {config.optimiser.schedule}",
        "Learning rate": f"{config.optimiser.learning_rate:g}",
        "An epoch has": AN_EPOCH_HAS[config.data.sampling],
    }


def _pretraining_steps(chain: Chain) -> list[int]:
    """Empty where no network was pretrained."""
    earlier = [*chain.earlier.segmenters, *chain.earlier.classifiers]
    if chain.pretrained or any(arm.start is Start.DRAWN for arm in earlier):
        return [chain.budget.pretraining["max_steps"]]
    return []


def count_sets(chain: Chain) -> dict[str, dict[str, Counts]]:
    """Counts of the used rows by set (`drawn`, `lesions`, `slices`, if present) and source."""
    counts = {"drawn": _count_sources(chain.drawn, np.ones(len(chain.drawn), bool))}
    for name in ("lesions", "slices"):
        if name in chain.tables:
            counts[name] = _count_sources(chain.tables[name], _taking_part(chain, name))
    return counts


def _taking_part(chain: Chain, name: str) -> Bool[np.ndarray, "n"]:
    """Whether each row of a set is in any part of the folds."""
    return chain.folds[0].splits[name].assignment >= 0


def _count_sources(table: SliceTable, used: Bool[np.ndarray, "n"]) -> dict[str, Counts]:
    sources = np.unique(table.sources[used]).tolist()
    rows = {source: used & (table.sources == source) for source in sources}
    if len(sources) > 1:
        rows[EVERY] = used
    return {source: _count(table, members) for source, members in rows.items()}


def _count(table: SliceTable, rows: Bool[np.ndarray, "n"]) -> Counts:
    by_class = np.bincount(table.labels[rows], minlength=len(CLASS_NAMES)).tolist()
    return {
        "slices": int(rows.sum()),
        "people": len(np.unique(table.patients[rows])),
        "annotated masks": int((table.mask_origins[rows] == MASK_ORIGINS[1]).sum()),
        **dict(zip(CLASS_NAMES, by_class, strict=True)),
    }
