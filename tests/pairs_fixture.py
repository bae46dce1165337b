"""A tiny drawn copy of the lesion set: frames, masks in three codings, and the table of the slices.

Nothing here comes from a patient: frames are ellipses and noise, masks are squares.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from kaggle_fixture import DrawnSlice, draw, write_table
from PIL import Image

SIDE = 32
LESION = (slice(4, 8), slice(4, 12))
"""Where every mask has its lesion."""

EFFUSION = (slice(8, 16), slice(4, 12))
"""Where MedSeg's masks have effusion (label 3), which is lesion."""


@dataclass(frozen=True)
class Pair:
    """A frame and its mask; `row` is the name and patient id of the table."""

    name: str
    row: tuple[str, str]
    coding: str


def _jun(case: str, number: int, patient: str) -> Pair:
    name = f"Jun_{case}_{number}.png"
    return Pair(name, (f"14_{name}", patient), "grey")


PAIRS: tuple[Pair, ...] = (
    *(_jun("coronacases_case1", k, "case1") for k in (100, 101, 102, 103)),
    _jun("coronacases_case2", 7, ""),
    *(_jun("radiopaedia_10_85902_3_case12", k, "74879") for k in (107, 108)),
    _jun("radiopaedia_7_85703_0_case20", 4, "\xa074724"),
    *(
        Pair(
            f"Morozov_study_{study:04}_{k}.png",
            (f"16_Morozov_study_{study:04}_{k}.png", f"study_id_{study}"),
            "binary",
        )
        for study in (255, 256, 301)
        for k in (13, 14)
    ),
    Pair("bjorke_1.png", ("13_Bjorke_1.png", "SIRM_Case_16"), "labels"),
    Pair("bjorke_2.png", ("13_Bjorke_2.png", "SIRM_Case_16"), "labels"),
    Pair("bjorke_3.png", ("13_Bjorke_3.png", "SIRM_Case_18"), "labels"),
)


def draw_pair_mask(coding: str) -> np.ndarray:
    """A mask, uint8 [32, 32], as a source codes it."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    if coding == "labels":
        mask[EFFUSION] = 3
    mask[LESION] = {"grey": 255, "binary": 1, "labels": 1}[coding]
    if coding == "labels":
        mask[6:8, 4:12] = 2
    return mask


def write_pairs(root: Path, *, pairs: Sequence[Pair] = PAIRS, table: str = "whole") -> Path:
    """Write the copy under `root`; `table` is "whole" or "none". Returns `root`."""
    for folder in ("frames", "masks"):
        (root / folder).mkdir(parents=True)
    drawn = [
        DrawnSlice(1, pair.row[0], pair.row[1], "54", "M", "Italy", (SIDE, SIDE)) for pair in pairs
    ]
    for pair, slice_ in zip(pairs, drawn, strict=True):
        frame = Image.fromarray(draw(slice_).astype(np.uint8))
        frame.save(root / "frames" / pair.name)
        Image.fromarray(draw_pair_mask(pair.coding)).save(root / "masks" / pair.name)
    if table == "whole":
        other = DrawnSlice(1, "17_Zhao_kjr-p2-1.png", "Zhao_Patient 193")
        write_table(root / "meta_data_covid.csv", [*drawn, other], headers="kaggle")
    return root
