"""`mgajax experiment real` from its settings to its results."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mgajax.errors import ConfigError, quantity
from mgajax.experiments.experiment import ExperimentResults, write_files
from mgajax.experiments.real.arms import FoldedRuns
from mgajax.experiments.real.attributions import examine_attributions
from mgajax.experiments.real.chain import Chain
from mgajax.experiments.real.classifiers import examine_classifiers
from mgajax.experiments.real.contents import count_sets, describe_design
from mgajax.experiments.real.costs import cost_rows
from mgajax.experiments.real.model_card import CARD_FILE, card_page
from mgajax.experiments.real.order import NAME, RealOrder
from mgajax.experiments.real.outside import OutsideSet
from mgajax.experiments.real.seed_archive import FinishedSeeds, join_seeds, keep_seeds
from mgajax.experiments.real.segmenters import examine_segmenters
from mgajax.experiments.real.sets import Build
from mgajax.experiments.study import StudyResults
from mgajax.files import write_text

TITLE = "Both steps on slices of people whom no network saw"


def run_real(order: RealOrder, *, build: Build) -> ExperimentResults | None:
    """Do all stages, then measure, and write the results into the order's folder.

    The same call resumes where it was stopped, and repeats no finished run.

    Args:
      order: the settings of the experiment.
      build: builds a data set, see `sets.Build`.

    Returns:
      None when stopped by a signal.

    Raises:
      ConfigError: an unusable option, plan or override.
      DataError: data that cannot be built or read, or too few patients for the folds.
      TrainingError: stopped while predicting masks.
    """
    if order.jobs < 1:
        raise ConfigError(f"--jobs {order.jobs}: expected at least 1")
    chain = Chain(order, build=build)
    finished = _train(chain)
    if finished is None:
        return None
    order.workdir.mkdir(parents=True, exist_ok=True)
    outside = OutsideSet(order.outside, times=chain.times) if order.outside else None
    results = _examine(chain, finished, outside=outside)
    about = {
        "experiment": NAME,
        "title": TITLE,
        "source": "",
        "command": order.command(),
        "plan": str(order.plan_file),
        "budget": order.budget,
        "data": _data(order, chain),
        "design": describe_design(chain),
        "sets": count_sets(chain),
    }
    rows = [row.to_json() for row in results.rows]
    card = card_page({**about, "rows": rows, "notes": results.notes})
    files = [write_text(card, order.workdir / CARD_FILE)]
    archive = keep_seeds(finished, identity=chain.identity, out=order.workdir)
    results = replace(results, files=[*files, *([archive] if archive else [])])
    return write_files(about, results, chain.outcomes, out=order.workdir)


def _train(chain: Chain) -> FinishedSeeds | None:
    """Complete all stages, and join them with earlier seeds; None when stopped."""
    if not chain.pretrain():
        return None
    segmenters = chain.segment()
    if segmenters is None:
        return None
    classifiers: FoldedRuns | None = {}
    if "slices" in chain.tables:
        classifiers = chain.classify(chain.guided_sets(segmenters))
    if classifiers is None:
        return None
    earlier = chain.earlier
    return FinishedSeeds(
        join_seeds(earlier.segmenters, segmenters), join_seeds(earlier.classifiers, classifiers)
    )


def _data(order: RealOrder, chain: Chain) -> dict[str, object]:
    """The downloads, or the options of the drawn set in their place."""
    if chain.sets.are_drawn:
        return dict(chain.budget.stand_in)
    places = {"slices": order.slices, "lesions": order.lesions, "outside": order.outside}
    return {name: str(path) for name, path in places.items() if path is not None}


def _examine(chain: Chain, finished: FinishedSeeds, *, outside: OutsideSet | None) -> StudyResults:
    """The results of both steps together."""
    out = chain.order.workdir
    segmenters, classifiers = finished.segmenters, finished.classifiers
    parts = []
    if segmenters:
        parts.append(examine_segmenters(segmenters, out=out))
    if classifiers:
        parts.append(
            examine_classifiers(
                classifiers,
                table=chain.tables["slices"],
                folds=chain.folds,
                elsewhere=outside.predictions if outside else None,
                out=out,
            )
        )
        parts.append(
            examine_attributions(
                classifiers,
                table=chain.tables["slices"],
                folds=chain.folds,
                has_guide=bool(segmenters),
                times=chain.times,
            )
        )
    costs = cost_rows(finished.arms)
    parts.append(StudyResults([*costs, *chain.times.rows()]))
    notes = [*_notes(chain), *(note for part in parts for note in part.notes)]
    return StudyResults(
        rows=[row for part in parts for row in part.rows],
        figures=[figure for part in parts for figure in part.figures],
        notes=notes,
    )


def _notes(chain: Chain) -> Sequence[str]:
    """The test patients, and the limits of these numbers."""
    judged = [
        f"{_count_tested(chain, name)} of {len(np.unique(table.sources))} sources ({name})"
        for name, table in chain.tables.items()
    ]
    return [
        f"{chain.budget.folds} folds of people, the same for {quantity(len(chain.seeds), 'seed')}: each "
        "person is judged once a seed, by networks that "
        f"learned from others, with others to validate on. {'; '.join(judged)}.",
        "No person whom a classifier is judged by trained the segmenter of its masks.",
        *chain.notes,
        "Sources tell much of the class in these slices: what the source alone tells stands beside the "
        "networks, and only what is within a source, or outside, is about lungs.",
    ]


def _count_tested(chain: Chain, name: str) -> str:
    table = chain.tables[name]
    tested = np.concatenate([fold.splits[name].indices("test") for fold in chain.folds])
    people = len(np.unique(table.patients[tested]))
    return f"{len(tested)} slices of {people} people"
