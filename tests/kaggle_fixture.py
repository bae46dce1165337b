"""A tiny drawn copy of the curated set in its Kaggle layout, with every trap of the real one.

`write_copy` draws it; tests then plant their damage in the files. Nothing here comes from a
patient: pictures are ellipses and noise, texts are made up.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

FOLDERS = ("1NonCOVID", "2COVID", "3CAP")
TABLES = ("meta_data_normal.csv", "meta_data_covid.csv", "meta_data_cap.csv")
CLASS_WORDS = ("Normal", "COVID-19", "CAP")

Headers = Literal["github", "kaggle"]
Nesting = Literal["single", "doubled"]

_CAP = (
    "index,File name,Patient ID,Slices_x,COVID-19 Infection,Columns,Date of Last Calibration,"
    "Diagnosis,Age,Gender,Rows,Slices_y,Country"
)
_OTHER = (
    "index,File name,Patient ID,Gender,Age,Country,COVID-19 Infection,Slice,Case Discussion,"
    "Date,Other diseases,Presentation,RT_PCR_COVID-19,Severity,Slices,mask_file,study_file"
)

JPEG_CALLED_PNG = "17_Zhao_2020.03.01.20029769-p21-73%1.png"
RENAMED_ROW = "17_Zhao_Recurrence-of-COVID-19-SARS-CoV-2-p1-21%0.png"
RENAMED_FILE = "17_Zhao_Recurrence-of-positive-SARS-CoV-2-p1-21%0.png"
COLOURED = "17_Zhao_figure-2_p3-14.png"
SECOND_COPY = "6_Rahimzadeh_normal5_patient245_SR_4_IM00017.png"
SIXTEEN_BIT = "cp001_12.png"


@dataclass(frozen=True)
class DrawnSlice:
    """One slice: its row, and how its picture is stored."""

    label: int
    name: str
    patient_id: str
    age: str = ""
    gender: str = ""
    country: str = "Iran"
    size: tuple[int, int] = (32, 32)
    mode: str = "L"
    kind: str = "PNG"
    picture: str = ""
    file_name: str = ""
    texts: dict[str, str] = field(default_factory=dict)

    @property
    def on_disk(self) -> str:
        """The name of the file, where it differs from the row's."""
        return self.file_name or self.name


def _morozov(label: int, study: int, number: int, age: str) -> DrawnSlice:
    texts = {"study_file": f"/studies/CT-0/study_{study:04}.nii.gz"}
    name = f"16_Morozov_study_{study:04}_{number}.png"
    return DrawnSlice(label, name, f"study_id_{study}", age, "F", "Russia", texts=texts)


SLICES: tuple[DrawnSlice, ...] = (
    *(_morozov(0, study, k, str(20 + study + k)) for study in (1, 2, 3, 4) for k in (12, 13)),
    DrawnSlice(
        0, "6_Rahimzadeh_normal4_patient245_SR_4_IM00017.png", "patient245", "44", "M", picture="c"
    ),
    DrawnSlice(0, SECOND_COPY, "patient245", "44", "M", picture="c"),
    DrawnSlice(0, "N001_121.png", "N001", "61", "F"),
    DrawnSlice(0, "normal037_112.png", "normal037", "30", "M"),
    DrawnSlice(1, "P001_69.png", "P001", "43", "M"),
    DrawnSlice(1, "P001_70.png", "P001", "43", "M"),
    DrawnSlice(1, "P104_70.png", "P104", "69", "F"),
    DrawnSlice(1, "14_Jun_coronacases_case1_155.png", "case1", "-", "-", "China"),
    DrawnSlice(1, "14_Jun_coronacases_case2_20.png", "", "-", "-", "China"),
    DrawnSlice(
        1, "14_Jun_radiopaedia_7_85703_0_case20_4.png", "\xa074724", "-", "-", "-", (40, 24)
    ),
    DrawnSlice(1, "14_Jun_radiopaedia_14_85914_0_case13_9.png", "74887", "53", "M", size=(24, 40)),
    DrawnSlice(
        1, "13_Bjorke_1.png", "SIRM_Case_16", "0", "-", "Italy", texts={"Severity": "20° – “mild”"}
    ),
    DrawnSlice(1, "13_Bjorke_2.png", "SIRM_Case_18", "66", "M", "Italy"),
    DrawnSlice(1, "15_Cohen_jkms-35-e79-g001-l-d.png", "66", "-", "-", "South Korea", mode="RGB"),
    DrawnSlice(1, "15_Cohen_kjr-21-e24-g001-l-a.png", "63", "-", "-", "South Korea", mode="RGB"),
    DrawnSlice(1, "17_Zhao_kjr-p2-1.png", "Zhao_Patient 193", "-", "-", "-", (37, 29), "RGBA"),
    DrawnSlice(1, "17_Zhao_kjr-p2-2.png", "Zhao_Patient 196 ", "-", "-", "-", (37, 29), "RGBA"),
    DrawnSlice(
        1,
        RENAMED_ROW,
        "Zhao_Patient 7",
        "36",
        "F",
        "China",
        (41, 33),
        "RGB",
        file_name=RENAMED_FILE,
        texts={"Presentation": 'fever,\n"dry" cough\nafter 3 days', "Severity": "same as\nabove"},
    ),
    DrawnSlice(
        1, COLOURED, "Zhao_Patient 8", "50", "M", "China", (26, 31), "RGB", picture="colour"
    ),
    DrawnSlice(
        1, JPEG_CALLED_PNG, "Zhao_Patient 9", "51", "F", "China", (48, 40), "RGB", kind="JPEG"
    ),
    DrawnSlice(1, "6_Rahimzadeh_137covid_patient101_SR_4_IM00015.png", "patient101", "51", "F"),
    _morozov(1, 255, 13, "33"),
    DrawnSlice(2, "cap001_11.png", "cap001", "62", "M"),
    DrawnSlice(2, "cap001_12.png", "cap001", "62", "M"),
    DrawnSlice(2, "cap002_3.png", "cap002", "70", "F"),
    DrawnSlice(2, SIXTEEN_BIT, "cp001", "55", "F", mode="I;16"),
    DrawnSlice(2, "cp002_7.png", "cp002", "58", "M", mode="P"),
)

MASKS: dict[str, tuple[str, str]] = {
    "14_Jun_coronacases_case1_155.png": ("Jun_coronacases_case1_155.png", "grey"),
    "13_Bjorke_1.png": ("bjorke_1.png", "labels"),
    "13_Bjorke_2.png": ("bjorke_2.png", "empty"),
    "16_Morozov_study_0255_13.png": ("16_Morozov_study_0255_13.png", "binary"),
}
"""Slice -> its mask's file name, and how that mask codes lesions."""


def draw(slice_: DrawnSlice) -> np.ndarray:
    """The picture's grey values, uint8 `[h, w]`: the same for the same `picture` word."""
    seed = list((slice_.picture or slice_.on_disk).encode())
    rng = np.random.default_rng(seed)
    width, height = slice_.size
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    body = (x / 0.9) ** 2 + (y / 0.8) ** 2 < 1
    lungs = ((np.abs(x) - 0.4) / 0.25) ** 2 + (y / 0.5) ** 2 < 1
    return np.where(body, np.where(lungs, 60, 170), 5) + rng.integers(0, 20, body.shape)


def draw_mask(slice_: DrawnSlice, coding: str) -> np.ndarray:
    """A mask, uint8 `[h, w]`: lesion in columns 4:8; as labels, effusion (3) in columns 8:12."""
    width, height = slice_.size
    mask = np.zeros((height, width), np.uint8)
    if coding != "empty":
        mask[4:8, 4:8] = {"grey": 255, "binary": 1, "labels": 1}[coding]
    if coding == "labels":
        mask[6:8, 4:8] = 2
        mask[4:8, 8:12] = 3
    return mask


def write_copy(
    root: Path,
    *,
    headers: Headers = "github",
    nesting: Nesting = "doubled",
    tables: Literal["beside", "inside"] = "beside",
    slices: Sequence[DrawnSlice] = SLICES,
) -> Path:
    """Write the whole copy under `root`, masks included, and return the manual_dir."""
    outer = root / "curated_data"
    inner = outer / "curated_data" if nesting == "doubled" else outer
    for folder in FOLDERS:
        (inner / folder).mkdir(parents=True, exist_ok=True)
    for slice_ in slices:
        write_picture(inner / FOLDERS[slice_.label] / slice_.on_disk, slice_)
    for label, name in enumerate(TABLES):
        rows = [slice_ for slice_ in slices if slice_.label == label]
        write_table((root if tables == "beside" else outer) / name, rows, headers=headers)
    (root / "masks").mkdir()
    for slice_ in slices:
        if slice_.name in MASKS:
            name, coding = MASKS[slice_.name]
            Image.fromarray(draw_mask(slice_, coding)).save(root / "masks" / name)
    return root


def write_picture(path: Path, slice_: DrawnSlice) -> None:
    """Store the drawing in the mode and format of `slice_`, whatever the path's suffix says."""
    grey = draw(slice_)
    if slice_.mode == "I;16":
        image = Image.fromarray((grey * 16).astype(np.uint16))
    else:
        image = Image.fromarray(grey.astype(np.uint8)).convert(slice_.mode)
    if slice_.picture == "colour":
        image = Image.fromarray(np.stack([grey, grey // 2, grey], axis=-1).astype(np.uint8))
    options = {"quality": 95} if slice_.kind == "JPEG" else {}
    image.save(path, format=slice_.kind, **options)


def write_table(path: Path, slices: Sequence[DrawnSlice], *, headers: Headers) -> None:
    """The class's table: cp1252, LF, quotes where needed, in either header variant."""
    label = TABLES.index(path.name)
    columns = (_CAP if label == 2 else _OTHER).split(",")
    if headers == "kaggle" and label == 2:
        columns.remove("COVID-19 Infection")
    if headers == "kaggle" and label != 2:
        columns[columns.index("COVID-19 Infection")] = "Diagnosis"
    if label == 0:
        columns[columns.index("RT_PCR_COVID-19")] = "RT_PCR_positive"
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, extrasaction="ignore", restval="", lineterminator="\n")
    writer.writeheader()
    for index, slice_ in enumerate(slices):
        word = CLASS_WORDS[label]
        writer.writerow(
            {
                "index": index % 5,
                "File name": slice_.name,
                "Patient ID": slice_.patient_id,
                "Age": slice_.age,
                "Gender": slice_.gender,
                "Country": slice_.country,
                "COVID-19 Infection": word,
                "Diagnosis": word,
                **slice_.texts,
            }
        )
    path.write_bytes(text.getvalue().encode("cp1252"))
