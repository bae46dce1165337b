"""What a run's page says of a segmenter on one split."""

from typing import Any

import numpy as np

from mgajax.paper import TABLE3, TABLE3_NOTE, architecture
from mgajax.reporting.figures.segmentation_figures import slice_dice_figure
from mgajax.reporting.figures.style import title_of
from mgajax.reporting.html.blocks import Block, Fold, Row, Table
from mgajax.reporting.page import Page
from mgajax.reporting.run_results import SliceTable, SplitResults
from mgajax.reporting.tables.number import Number, number, percent

OVERLAP = {"iou": "IoU", "dice": "Dice", "precision": "precision", "recall": "recall"}
BLOCKS = {
    "pooled": "All pixels",
    "per_image": "Mean over slices",
    "per_image_with_lesion": "Slices with a lesion",
}


def segmenter_blocks(page: Page, one: SplitResults) -> list[Block]:
    """Numbers, slices by source, pictures, patients."""
    metrics, split = one.metrics, one.split
    blocks: list[Block] = [_results(metrics, split)]
    if architecture(metrics["model"]) in TABLE3:
        blocks.append(TABLE3_NOTE.replace("`", ""))
    if one.picture is not None:
        blocks.append(
            page.take(
                one.picture,
                name=f"{split}_panel.png",
                alt=f"Slices of the {split} split with found, missed and surplus lesion marked",
                caption="From each source’s median Dice down to its worst",
            )
        )
    slices = one.slices
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
    blocks += [_sources(metrics, split), _empty(metrics, split)]
    if slices is not None:
        blocks.append(_patients(slices, split))
    return blocks


def _results(metrics: dict[str, Any], split: str) -> Table:
    printed = TABLE3.get(architecture(metrics["model"]), {})
    boundary = metrics["boundary"]
    rows: list[Row] = [
        (
            f"{text}, %",
            *(percent(metrics, f"{block}.{key}") for block in BLOCKS),
            *([Number(printed[key], digits=2)] if printed else []),
        )
        for key, text in OVERLAP.items()
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
    caption = f"{title_of(metrics).capitalize()}; at each slice’s own pixels"
    return Table(f"{split}_results", caption, heads, tuple(rows))


def _sources(metrics: dict[str, Any], split: str) -> Table:
    rows = tuple(
        (
            name,
            Number(block["n"], digits=0),
            Number(block["patients"], digits=0),
            percent(block, "pooled.iou"),
            percent(block, "pooled.dice"),
            percent(block, "per_image.dice"),
        )
        for name, block in metrics["per_source"].items()
    )
    heads = ("Source", "Slices", "Patients", "IoU", "Dice", "Dice, mean over slices")
    return Table(f"{split}_sources", "Each source, percent", heads, rows)


def _empty(metrics: dict[str, Any], split: str) -> Table:
    empty = metrics["empty_masks"]
    names = {
        "with_lesion": "slices with a lesion",
        "lesion_but_none_predicted": "of these, none predicted",
        "no_lesion_none_predicted": "no lesion, none predicted",
        "no_lesion_but_predicted": "no lesion, but one predicted",
    }
    rows = tuple((text, Number(empty[key], digits=0)) for key, text in names.items())
    return Table(f"{split}_empty", "Empty masks", ("Mask", "Slices"), rows)


def _patients(slices: SliceTable, split: str) -> Fold:
    names, member = np.unique(slices.patients, return_inverse=True)
    rows = []
    for place, name in enumerate(names.tolist()):
        own = slices.dice[member == place]
        known = own[np.isfinite(own)]
        mean = Number(100 * float(known.mean()) if len(known) else None, digits=1)
        worst = Number(100 * float(known.min()) if len(known) else None, digits=1)
        rows.append((name, Number(len(own), digits=0), mean, worst))
    rows.sort(key=lambda row: -1.0 if row[2].value is None else row[2].value)
    heads = ("Patient", "Slices", "Mean Dice, %", "Worst slice, %")
    title = f"{len(rows):,} patients, the lowest Dice first"
    return Fold(
        title, (Table(f"{split}_patients", "Dice of each patient’s slices", heads, tuple(rows)),)
    )
