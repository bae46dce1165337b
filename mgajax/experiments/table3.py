"""Table 3: all segmenters trained and evaluated under one protocol, and compared on one test set."""

from mgajax.evaluation.segmenter_comparison import compare_segmenters, read_evaluation
from mgajax.experiments.plan import PlannedRun
from mgajax.experiments.study import Study, StudyInput, StudyResults
from mgajax.paper import SEGMENTER_METRICS, TABLE3, architecture, model_name
from mgajax.reporting.tables.measurements import Measurement

PROPOSED = "hmsanet"
"""The run that the others are compared with."""

SEE = "`table3.md` has paired differences from HMSANet, means over slices, and boundary distances."


def _examine(finished: StudyInput) -> StudyResults:
    """Rows for every segmenter, and the files that `compare_segmenters` writes."""
    runs = {arm: by_seed[min(by_seed)] for arm, by_seed in finished.arms.items()}
    rows = [row for arm in finished.configs for row in _rows(arm, runs.get(arm), finished)]
    if PROPOSED not in runs or len(runs) < 2:
        return StudyResults(rows, notes=["Too few runs are finished to compare them."])
    names = [PROPOSED, *(name for name in runs if name != PROPOSED)]
    comparison = compare_segmenters([runs[name].folder for name in names], out=finished.out)
    pictures = [path for path in comparison.files if path.suffix == ".png"]
    others = [path for path in comparison.files if path not in pictures]
    return StudyResults(rows, figures=pictures, files=others, notes=[SEE])


def _rows(arm: str, run: PlannedRun | None, finished: StudyInput) -> list[Measurement]:
    table, model = "Lesions, all pixels pooled", finished.configs[arm].model.name
    if run is None:
        return [
            Measurement(
                table, model_name(model), name, status="failed", note=finished.missing[arm][1]
            )
            for name in SEGMENTER_METRICS.values()
        ]
    metrics = read_evaluation(run.folder).metrics
    spans = (metrics["intervals"] or {}).get("pooled", {})
    printed = TABLE3.get(architecture(model), {})
    return [
        Measurement(
            table,
            model_name(model),
            name,
            value=value,
            low=spans.get(key, {}).get("low"),
            high=spans.get(key, {}).get("high"),
            seeds={run.seed: value} if value is not None else {},
            paper=printed[key] / 100 if key in printed else None,
        )
        for key, name in SEGMENTER_METRICS.items()
        for value in [metrics["pooled"][key]]
    ]


STUDIES = {
    "table3": Study(
        title="Four segmenters",
        source="Paper, Table 3 and Figure 7",
        plan="configs/experiments/table3.py",
        examine=_examine,
        drawn_plan="configs/experiments/table3_phantom.py",
        seeds=1,
    ),
}
