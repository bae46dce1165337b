"""Selects slices of a volume where they are not labelled one by one.

The paper (section 4) leaves out "chest slices that do not carry information about inside lung
manifestations, as well as the adjacent slices with almost identical appearances", by eye. Here the
first is a rule of lung area (`LungRule`) and the second a limit of correlation between neighbours.
An annotated slice always stays, and a radiologist's list (`read_rulings`) overrides all.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Num

from mgajax.errors import ConfigError, DataError, nearest, quantity
from mgajax.imaging.lungs import LungRule, find_lungs
from mgajax.schema import CLASS_NAMES

Reason = Literal["radiologist", "annotated", "lung", "too little lung", "near-identical"]
Slice = Num[np.ndarray, "_ _"]

LARGEST_SIDE = 256
"""Slices are reduced to at most this side before their areas are measured: it takes a quarter of the
time, and shares differ by less than one in a thousand."""

COMPARED_SIDE = 64
"""Slices are averaged to this side before they are compared, so that noise does not count."""

LUNG_WINDOW = (-1350.0, 150.0)
"""Hounsfield units between which slices are compared: width 1,500 around -600."""


MOST_ALIKE = 0.985
"""Correlation from which on two neighbours count as one. Measured on published slices: 4 mm apart 0.963
to 0.984 (COVID-CT-MD, of which the published set takes every second slice), 8 mm apart 0.91 to 0.98.
So series of 4 mm and more stay whole, and finer ones are thinned to about that."""


def lung_rule(words: Sequence[str]) -> LungRule:
    """The rule with fields set by words `KEY=VALUE`, e.g. `least_of_body=0.1`.

    Raises:
      ConfigError: an unknown field, or a value that is no number of its range.
    """
    rule = LungRule()
    for word in words:
        key, _, text = word.partition("=")
        if key not in asdict(rule):
            raise ConfigError(f"--lung_rule {word}: {nearest(key, tuple(asdict(rule)))}")
        try:
            value = float(text)
        except ValueError as error:
            raise ConfigError(f"--lung_rule {word}: {text!r} is no number") from error
        if key != "air_below" and not 0 <= value <= 1:
            raise ConfigError(f"--lung_rule {word}: a share lies between 0 and 1")
        rule = replace(rule, **{key: value})
    return rule


@dataclass(frozen=True)
class Selection:
    """The decision on the slices of one volume, in their order.

    Attributes:
      keep: whether each stays.
      reasons: of each decision.
      lung_shares: lung area over the body's cross section, 0 to 1.
    """

    keep: Bool[np.ndarray, "n"]
    reasons: tuple[Reason, ...]
    lung_shares: Float[np.ndarray, "n"]


def select(
    slices: Sequence[Slice] | Num[np.ndarray, "h w n"],
    *,
    annotated: Bool[np.ndarray, "n"] | None = None,
    ruled: Sequence[bool | None] | None = None,
    lungs: Sequence[Slice] | None = None,
    rule: LungRule | None = None,
    most_alike: float = MOST_ALIKE,
) -> Selection:
    """The slices of a volume that stay.

    In order of precedence: those that a radiologist keeps, annotated ones, and those that show enough
    lung and do not repeat a neighbour that stays.

    Args:
      slices: in their order along the volume, `[h, w, n]` or a list; in Hounsfield units unless
        `lungs` is given.
      annotated: slices with a label or an outline.
      ruled: a radiologist's decision on each slice; None: no decision.
      lungs: lung masks, nonzero inside, if the source has them; they replace the air threshold.
      rule: how much lung is enough; None: the defaults.
      most_alike: neighbours whose correlation is at least this count as the same.

    Raises:
      DataError: for a volume without slices, or arguments of other lengths than it.
    """
    planes = _list_planes(slices)
    n, rule = len(planes), rule or LungRule()
    is_annotated = np.zeros(n, bool) if annotated is None else annotated
    rulings = [None] * n if ruled is None else list(ruled)
    _check_lengths(
        n, annotated=len(is_annotated), ruled=len(rulings), lungs=n if lungs is None else len(lungs)
    )
    areas, bodies = _measure_areas(planes, lungs=lungs, rule=rule)
    shares = areas / np.maximum(bodies, 1)
    has_lung = (shares >= rule.least_of_body) & (areas >= rule.least_of_widest * areas.max())
    required = np.array(
        [
            bool(is_marked) if ruling is None else ruling
            for is_marked, ruling in zip(is_annotated, rulings, strict=True)
        ]
    )
    candidate = has_lung & ~required & np.array([ruling is None for ruling in rulings])
    keep = thin(planes, required=required, candidate=candidate, most_alike=most_alike)
    reasons = tuple(
        _reason(rulings[k], bool(is_annotated[k]), bool(has_lung[k]), bool(keep[k]))
        for k in range(n)
    )
    return Selection(keep=keep, reasons=reasons, lung_shares=shares)


def lung_area(plane: Num[np.ndarray, "h w"], *, rule: LungRule) -> tuple[int, int]:
    """Pixels of lung, and of the body with it; see `find_lungs`."""
    chest = find_lungs(plane, rule=rule)
    return int(chest.lung.sum()), int(chest.body.sum())


def thin(
    slices: Sequence[Slice],
    *,
    required: Bool[np.ndarray, "n"],
    candidate: Bool[np.ndarray, "n"],
    most_alike: float,
) -> Bool[np.ndarray, "n"]:
    """The required slices, and each candidate that repeats no kept neighbour.

    From the first slice on, a candidate is compared with the nearest kept slice before it and with
    the nearest required one after it.

    Args:
      slices: in their order along the volume.
      required: those that always stay.
      candidate: those that may stay.
      most_alike: a candidate with this correlation is dropped; above 1 keeps all.
    """
    keep = required.copy()
    signatures = [_signature(plane) for plane in slices]
    required_rows = np.flatnonzero(required)
    last: int | None = None
    for k in range(len(slices)):
        if candidate[k]:
            next_required = required_rows[np.searchsorted(required_rows, k) :][:1]
            neighbours = [*([] if last is None else [last]), *next_required.tolist()]
            keep[k] = all(
                _correlation(signatures[k], signatures[m]) < most_alike for m in neighbours
            )
        if keep[k]:
            last = k
    return keep


def middle_run(n: int, *, length: int) -> range:
    """The `length` consecutive indices in the middle of `n`, or all where there are fewer.

    The published set takes twenty consecutive slices of each study without findings. Only its tables
    say where each run begins, and the middle is the nearest rule.
    """
    start = max(0, (n - length) // 2)
    return range(start, min(n, start + length))


@dataclass(frozen=True)
class Ruling:
    """A radiologist's decision on one slice: its class (index into `CLASS_NAMES`), and whether it stays."""

    label: int
    keep: bool


def read_rulings(path: Path) -> dict[str, Ruling]:
    """File name -> a radiologist's decision, from a CSV of `file_name,label[,keep]`.

    `label` is a class name, its code, or the folder's word (NonCOVID, COVID); `keep` is yes or no
    (also 1/0, true/false), and yes where the column or the cell is empty.

    Raises:
      DataError: for a missing column, an unknown word, or two different rows of one name.
    """
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    columns = {name.strip().casefold(): name for name in reader.fieldnames or ()}
    missing = [name for name in ("file_name", "label") if name not in columns]
    if missing:
        raise DataError(
            f"{path}: no column {' and '.join(missing)}; found {', '.join(columns) or 'none'}; "
            "expected file_name,label[,keep]"
        )
    rulings: dict[str, Ruling] = {}
    for row in reader:
        cells = {name: (row[column] or "").strip() for name, column in columns.items()}
        line = f"{path}, line {reader.line_num}"
        ruling = Ruling(
            label=_look_up(cells["label"], LABEL_WORDS, cell=f"{line}: label"),
            keep=bool(_look_up(cells.get("keep", ""), KEEP_WORDS, cell=f"{line}: keep")),
        )
        if rulings.setdefault(cells["file_name"], ruling) != ruling:
            raise DataError(
                f"{line}: {cells['file_name']} is decided differently in an earlier line; keep one"
            )
    return rulings


LABEL_WORDS: Mapping[str, int] = {
    **{name.casefold(): code for code, name in enumerate(CLASS_NAMES)},
    **{str(code): code for code in range(len(CLASS_NAMES))},
    "noncovid": 0,
    "covid": 1,
}
KEEP_WORDS: Mapping[str, int] = {
    "": 1, "yes": 1, "1": 1, "true": 1, "keep": 1, "no": 0, "0": 0, "false": 0, "drop": 0,
}  # fmt: skip


def _look_up(text: str, words: Mapping[str, int], *, cell: str) -> int:
    if text.casefold() not in words:
        raise DataError(f"{cell} {text!r}; {nearest(text.casefold(), [w for w in words if w])}")
    return words[text.casefold()]


def _list_planes(slices: Sequence[Slice] | np.ndarray) -> list[np.ndarray]:
    if isinstance(slices, np.ndarray):
        slices = list(np.moveaxis(slices, 2, 0))
    if not slices:
        raise DataError("a volume without slices; leave it out")
    return list(slices)


def _check_lengths(n: int, **lengths: int) -> None:
    for name, length in lengths.items():
        if length != n:
            raise DataError(f"{name}: {quantity(length, 'value')} for {quantity(n, 'slice')}")


def _measure_areas(
    planes: Sequence[np.ndarray], *, lungs: Sequence[np.ndarray] | None, rule: LungRule
) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]]:
    """Lung and body areas of each slice; with lung masks the whole slice stands for the body."""
    if lungs is not None:
        areas = [(int(np.count_nonzero(mask)), mask.size) for mask in lungs]
    else:
        steps = [-(-max(plane.shape) // LARGEST_SIDE) for plane in planes]
        areas = [
            lung_area(plane[::step, ::step], rule=rule)
            for plane, step in zip(planes, steps, strict=True)
        ]
    lung, body = np.array(areas, np.float64).T
    return lung, body


def _signature(plane: np.ndarray) -> Float[np.ndarray, "_"]:
    """A slice clipped to the lung window, averaged in blocks, minus its mean, scaled to length one.

    Grey levels (0..255) lie within the window anyway.
    """
    low, high = LUNG_WINDOW
    step = max(1, max(plane.shape) // COMPARED_SIDE)
    h, w = (side // step for side in plane.shape)
    values = np.clip(plane[: h * step, : w * step].astype(np.float64), low, high)
    means = values.reshape(h, step, w, step).mean(axis=(1, 3)).ravel()
    means -= means.mean()
    return means / max(float(np.linalg.norm(means)), 1e-12)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    if first.shape != second.shape:
        return 0.0
    if not first.any() and not second.any():
        return 1.0
    return float(first @ second)


def _reason(ruling: bool | None, is_annotated: bool, has_lung: bool, is_kept: bool) -> Reason:
    if ruling is not None:
        return "radiologist"
    if is_annotated:
        return "annotated"
    if not has_lung:
        return "too little lung"
    return "lung" if is_kept else "near-identical"
