"""Drawn chest slices in several renderings, and a small built data set of them."""

from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from mgajax.imaging.pictures import encode_png
from tfds_builders.features import slice_features

RENDERINGS = (
    "plain",
    "padding_circle",
    "table",
    "touching_table",
    "white_page",
    "dark_page",
    "frame_line",
    "text",
    "upside_down",
    "cut_lung",
)
"""What `draw` can make of a slice."""


def ellipse(size: int, *, centre: tuple[float, float], radii: tuple[float, float]) -> np.ndarray:
    """bool [size, size]; centre and radii (y, x) as shares of the side."""
    y, x = np.mgrid[:size, :size] / size
    return ((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 <= 1


def draw(
    size: int = 256, *, rendering: str = "plain", shift: float = 0.0, seed: int = 0
) -> dict[str, np.ndarray]:
    """A slice as `image`, its `mask` (0/255), and what is true about it: `body` and `lungs`.

    `rendering`: plain | padding_circle | table | touching_table | white_page | dark_page | frame_line |
    text | upside_down | cut_lung.
    """
    rng = np.random.default_rng(seed)
    body = ellipse(size, centre=(0.48 + shift, 0.5), radii=(0.3, 0.42))
    lungs = ellipse(size, centre=(0.47 + shift, 0.32), radii=(0.2, 0.14))
    lungs |= ellipse(size, centre=(0.47 + shift, 0.68), radii=(0.2, 0.14))
    lesion = ellipse(size, centre=(0.55 + shift, 0.3), radii=(0.06, 0.05))
    image = np.full((size, size), 20.0)
    image[body], image[lungs], image[lesion] = 150.0, 40.0, 110.0
    if rendering in ("table", "touching_table"):
        top = 0.84 if rendering == "table" else 0.775
        for offset in (0.0, 0.08):
            image[int((top + offset) * size) :][: max(1, size // 128)] = 160.0
        if rendering == "touching_table":  # walls close the gap below the back
            image[int(top * size) - size // 8 : int((top + 0.08) * size), : size // 128] = 160.0
            image[int(top * size) - size // 8 : int((top + 0.08) * size), -size // 128 :] = 160.0
    if rendering == "text":
        image[4 : size // 20, 4 : size // 8] = 255.0
    image += rng.normal(0.0, 3.0, image.shape)
    if rendering == "padding_circle":
        image[~ellipse(size, centre=(0.5, 0.5), radii=(0.5, 0.5))] = 0.0
    if rendering == "dark_page":
        image *= 0.3
    if rendering in ("white_page", "dark_page"):
        image[: size // 12], image[:, : size // 16] = 255.0, 255.0
        body[: size // 12], body[:, : size // 16] = False, False
    if rendering == "frame_line":
        image[:2], image[-2:], image[:, :2], image[:, -2:] = 255.0, 255.0, 255.0, 255.0
    mask = np.where(lesion, 255, 0)
    pictures = {"image": image.clip(0, 255).astype(np.uint8), "mask": mask.astype(np.uint8)}
    pictures |= {"body": body, "lungs": lungs & body}
    if rendering == "upside_down":
        pictures = {name: picture[::-1] for name, picture in pictures.items()}
    if rendering == "cut_lung":  # the frame cuts through the chest wall and the left lung
        pictures = {name: picture[:, int(0.22 * size) :] for name, picture in pictures.items()}
    return pictures


class DrawnSlices(tfds.core.GeneratorBasedBuilder):
    """A tiny data set with the record of the real ones: 11 train, 4 validation, 3 test slices."""

    name = "drawn_slices"
    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, *, damage: int | None = None, seed: int = 0, **kwargs) -> None:
        self.damage, self.seed = damage, seed
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict(slice_features())
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        ranges = {"train": range(11), "validation": range(11, 15), "test": range(15, 18)}
        return {split: self._generate_examples(numbers) for split, numbers in ranges.items()}

    def _generate_examples(self, numbers):
        for number in numbers:
            drawn = draw(64, seed=self.seed + number, shift=0.01 * (number % 5))
            image = encode_png(drawn["image"])
            yield (
                f"{number:02d}",
                {
                    "image": image[: len(image) // 2] if number == self.damage else image,
                    "lesion_mask": encode_png(drawn["mask"]),
                    "mask_origin": ("none", "annotated", "predicted")[number % 3],
                    "label": number % 3,
                    "patient": f"zhao/Fall {number // 2}",
                    "source": "zhao",
                    "file_name": f"17_Zhao_{number}%1.png",
                    "country": "",
                    "age": -1,
                    "gender": "",
                    "flags": "upside_down" if number == 3 else "",
                },
            )


def build(data_dir: Path, **options: object) -> Path:
    """Build `DrawnSlices` under `data_dir`; returns the version's folder."""
    builder = DrawnSlices(data_dir=data_dir, **options)
    builder.download_and_prepare(file_format="array_record")
    return Path(builder.data_dir)
