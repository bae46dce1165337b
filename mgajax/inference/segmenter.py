"""A trained segmenter as a stream: stored pictures in, lesion probabilities out, in the same order."""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, UInt8

from mgajax.data.loader import prefetch, to_float
from mgajax.data.preparation import Box, Preparation, decode, prepare_within, restore
from mgajax.errors import ConfigError, DataError
from mgajax.imaging.body import foreground
from mgajax.models.hmsanet import HMSANet, check_scales
from mgajax.models.registry import SEGMENTERS
from mgajax.progress import map_ordered
from mgajax.training.batch_inference import BatchInference
from mgajax.training.segmentation_losses import lesion_probability
from mgajax.training.trained import TrainedNetwork


@dataclass(frozen=True)
class StoredSlice:
    """A picture file of a data set.

    Attributes:
      row: its number in the table.
      data: the picture file's bytes.
      flags: comma-joined notes (`SliceTable.flags`).
    """

    row: int
    data: bytes
    flags: str


@dataclass(frozen=True)
class UnreadableSlice:
    """A picture that cannot be decoded, and why."""

    row: int
    reason: str


@dataclass(frozen=True, eq=False)
class FramedSlice:
    """A slice as the network sees it, and how to return to its own pixels.

    Attributes:
      image: uint8 [s, s].
      box: the crop, in pixels of the slice (turned over, if it was).
      shape: height and width of the slice.
    """

    row: int
    image: UInt8[np.ndarray, "s s"]
    box: Box
    shape: tuple[int, int]
    flags: str

    def restore(
        self, values: Float32[np.ndarray, "s s"], *, settings: Preparation
    ) -> Float32[np.ndarray, "h w"]:
        """Values of the square at the slice's own pixels, 0 outside the crop."""
        height, width = self.shape
        return restore(
            values, box=self.box, height=height, width=width, settings=settings, flags=self.flags
        )


@dataclass(frozen=True, eq=False)
class LesionMap:
    """The network's result for one slice: the probability of lesion in the prepared square."""

    prepared: FramedSlice
    lesion: Float32[np.ndarray, "s s"]
    settings: Preparation

    def restore(self) -> Float32[np.ndarray, "h w"]:
        """The probability of lesion at the slice's own pixels, 0 outside the crop."""
        return self.prepared.restore(self.lesion, settings=self.settings)


@dataclass(frozen=True)
class Segmenter:
    """A trained segmenter over all devices of its layout.

    Attributes:
      trained: the run it comes from.
      model: its network, at the scales of inference.
      settings: of the preparation that it was trained with.
      lesion: images uint8 [b, s, s, 1] to probabilities of lesion, float32 [b, s, s].
    """

    trained: TrainedNetwork
    model: nn.Module
    settings: Preparation
    lesion: BatchInference

    @property
    def scales(self) -> tuple[float, ...]:
        """The scales at which the network sees a picture."""
        return self.model.scales if isinstance(self.model, HMSANet) else (1.0,)

    def stream(
        self, pictures: Iterable[StoredSlice], *, stop: Callable[[], object] = lambda: False
    ) -> Iterator[LesionMap | UnreadableSlice]:
        """Segment pictures, each exactly once and in order.

        Threads decode and prepare ahead while the devices compute.

        Args:
          pictures: read when needed, by a background thread.
          stop: called before each batch; once it returns true, only started batches are finished.
        """
        ready = map_ordered(functools.partial(_frame_stored, settings=self.settings), pictures)
        side = self.settings.image_size
        batches = prefetch(_batches(ready, size=self.lesion.sizes[-1], side=side))
        for batch, lesions in self.lesion.stream(batches, stop=stop):
            values = iter(lesions)
            for item in batch:
                if isinstance(item, UnreadableSlice):
                    yield item
                else:
                    yield LesionMap(item, next(values), self.settings)


def make_segmenter(trained: TrainedNetwork, *, scales: Sequence[float] | None = None) -> Segmenter:
    """Compile a trained segmenter for inference.

    Args:
      scales: HMSANet's scales of inference, with 1.0 among them; None for those of its run, by
        default (0.5, 1.0). Scale 2.0 costs four times as much.

    Raises:
      ConfigError: the run trained a classifier, or its network does not take these scales.
    """
    name = trained.config.model.name
    if name not in SEGMENTERS:
        raise ConfigError(
            f"the run trained model.name={name!r}, which does not segment; give --workdir of a "
            f"run of one of {', '.join(SEGMENTERS)}"
        )
    model = _at_scales(trained.model, scales, name=name)
    return Segmenter(
        trained=trained,
        model=model,
        settings=Preparation(**trained.config.preparation),
        lesion=trained.inference(lesion_function(model), sizes=(trained.config.eval_batch_size,)),
    )


def _at_scales(model: nn.Module, scales: Sequence[float] | None, *, name: str) -> nn.Module:
    if isinstance(model, HMSANet):
        return model if scales is None else model.clone(scales=check_scales(scales))
    if scales is not None and tuple(scales) != (1.0,):
        raise ConfigError(
            f"--scales {','.join(map(str, scales))}: {name} sees one scale; leave --scales out "
            "(only hmsanet combines several)"
        )
    return model


def lesion_function(model: nn.Module) -> Callable[..., Any]:
    """`(variables, images uint8 [b, s, s, 1]) -> float32 [b, s, s]`, the probability of lesion."""

    def lesion(variables: dict[str, Any], images: UInt8[Array, "b s s 1"]) -> Float[Array, "b s s"]:
        output: Any = model.apply(variables, to_float(images), train=False)
        return lesion_probability(output.logits)

    return lesion


def _frame_stored(picture: StoredSlice, *, settings: Preparation) -> FramedSlice | UnreadableSlice:
    try:
        pixels = decode(picture.data, flags=picture.flags, settings=settings)
    except DataError as error:
        return UnreadableSlice(picture.row, str(error))
    body = foreground(pixels, minimum=settings.minimum_foreground)
    return frame_slice(pixels, body, row=picture.row, flags=picture.flags, settings=settings)


def frame_slice(
    pixels: UInt8[np.ndarray, "h w"],
    body: Bool[np.ndarray, "h w"] | None,
    *,
    row: int,
    flags: str = "",
    settings: Preparation,
) -> FramedSlice:
    """Prepare a decoded slice for the network (already turned over, where `flags` ask for it).

    Args:
      pixels: the slice.
      body: see `data.preparation.prepare_within`.
    """
    example = prepare_within(body, pixels, np.zeros_like(pixels), settings=settings)
    height, width = pixels.shape
    return FramedSlice(
        row=row, image=example.image, box=example.box, shape=(height, width), flags=flags
    )


def _batches(
    items: Iterable[FramedSlice | UnreadableSlice], *, size: int, side: int
) -> Iterator[tuple[list[FramedSlice | UnreadableSlice], UInt8[np.ndarray, "_ s s 1"]]]:
    """Batches of items with `size` readable pictures among them (the last with fewer), and their images."""
    batch: list[FramedSlice | UnreadableSlice] = []
    images: list[np.ndarray] = []
    for item in items:
        batch.append(item)
        if isinstance(item, FramedSlice):
            images.append(item.image)
        if len(images) == size:
            yield batch, np.stack(images)[..., None]
            batch, images = [], []
    if batch:
        yield batch, np.array(images, np.uint8).reshape(-1, side, side, 1)
