"""The section of a run's page on a segmenter's results on one split."""

from typing import Any

import numpy as np

from mgajax.paper import TABLE3, TABLE3_NOTE, architecture
from mgajax.reporting.figures.segmentation_figures import slice_dice_figure
from mgajax.reporting.figures.style import label_sentence
from mgajax.reporting.html.blocks import Block, Details, Row, Table
from mgajax.reporting.html.page import Page
from mgajax.reporting.reported_run import SliceScores, SplitResults
from mgajax.reporting.split_blocks import patient_fold, source_table, split_picture
from mgajax.reporting.tables.metrics_tables import POOLED
from mgajax.reporting.tables.number import Number, number, percent

BLOCKS = {
    "pooled": "All pixels",
    "per_image": "Mean over slices",
    "per_image_with_lesion": "Slices with a lesion",
}
BY_SOURCE = {
    "pooled.iou": "IoU",
    "pooled.dice": "Dice",
    "per_image.dice": "Dice, mean over slices",
}


def segmenter_blocks(page: Page, results: SplitResults) -> list[Block]:
    """Numbers, slices by source, pictures, patients."""
    metrics, split = results.metrics, results.split
    blocks: list[Block] = [_results(metrics, split)]
    if architecture(metrics["model"]) in TABLE3 and "set" not in metrics:
        blocks.append(TABLE3_NOTE.replace("`", ""))
    blocks += split_picture(page, results)
    slices = results.slices
    if slices is not None:
        dice = np.nan_to_num(slices.dice)
        blocks.append(
            page.draw(
                f"{split}_dice",
                lambda path: slice_dice_figure(
                    dice, sources=slices.sources, metrics=metrics, path=path
                ),
                alt=f"Dice of each slice by source; mean {percent(metrics, 'per_image.dice')} percent",
            )
        )
    sources = source_table(metrics, columns=BY_SOURCE, caption="Each source, percent", split=split)
    blocks += [sources, _empty(metrics, split)]
    if slices is not None:
        blocks.append(_patients(slices, split))
    return blocks


def _results(metrics: dict[str, Any], split: str) -> Table:
    printed = {} if "set" in metrics else TABLE3.get(architecture(metrics["model"]), {})
    boundary = metrics["boundary"]
    rows: list[Row] = [
        (
            f"{text}, %",
            *(percent(metrics, f"{block}.{key}") for block in BLOCKS),
            *([Number(printed[key], digits=2)] if printed else []),
        )
        for key, text in POOLED.items()
    ]
    blank = [Number(None)] if printed else []
    tolerance = f"{boundary['tolerance']:g} {boundary['unit']}"
    rows.append(
        (
            f"HD95, {boundary['unit']}",
            *(number(metrics, f"{block}.hausdorff95", digits=1) for block in BLOCKS),
            *blank,
        )
    )
    rows.append(
        (
            f"surface Dice at {tolerance}, %",
            *(percent(metrics, f"{block}.surface_dice") for block in BLOCKS),
            *blank,
        )
    )
    heads = ("Lesion", *BLOCKS.values(), *(["Paper, Table 3"] if printed else []))
    caption = f"{label_sentence(metrics)}; at each slice’s own pixels"
    return Table(heads, tuple(rows), caption=caption, name=f"{split}_results")


def _empty(metrics: dict[str, Any], split: str) -> Table:
    empty = metrics["empty_masks"]
    names = {
        "with_lesion": "slices with a lesion",
        "lesion_but_none_predicted": "of these, none predicted",
        "no_lesion_none_predicted": "no lesion, none predicted",
        "no_lesion_but_predicted": "no lesion, but one predicted",
    }
    rows = tuple((text, Number(empty[key], digits=0)) for key, text in names.items())
    return Table(("Mask", "Slices"), rows, caption="Empty masks", name=f"{split}_empty")


def _patients(slices: SliceScores, split: str) -> Details:
    names, member = np.unique(slices.patients, return_inverse=True)
    rows = []
    for code, name in enumerate(names.tolist()):
        scores = slices.dice[member == code]
        finite = scores[np.isfinite(scores)]
        mean = Number(100 * float(finite.mean()) if len(finite) else None, digits=1)
        worst = Number(100 * float(finite.min()) if len(finite) else None, digits=1)
        rows.append((name, Number(len(scores), digits=0), mean, worst))
    rows.sort(key=lambda row: -1.0 if row[2].value is None else row[2].value)
    return patient_fold(
        rows,
        heads=("Mean Dice, %", "Worst slice, %"),
        title=f"{len(rows):,} patients, the lowest Dice first",
        caption="Dice of each patient’s slices",
        split=split,
    )
