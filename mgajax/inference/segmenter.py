"""A trained segmenter as a stream: stored pictures in, lesion probabilities out, in order."""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import numpy as np
from jaxtyping import Array, Float, Float32, UInt8

from mgajax.data.loader import prefetch, to_float
from mgajax.data.preparation import Box, Preparation, decode, prepare
from mgajax.data.restoration import restore
from mgajax.data.threads import map_ordered
from mgajax.errors import ConfigError
from mgajax.models.hmsanet import HMSANet, checked_scales
from mgajax.models.registry import SEGMENTERS
from mgajax.training.compilation import compiler_options
from mgajax.training.segmentation_losses import lesion_probability
from mgajax.training.sharding import Layout, round_up
from mgajax.training.trained import Trained


@dataclass(frozen=True)
class StoredSlice:
    """A stored picture on its way to the segmenter.

    Attributes:
      row: its number in the table.
      data: the picture file's bytes.
      flags: comma-joined notes (`SliceTable.flags`).
    """

    row: int
    data: bytes
    flags: str


@dataclass(frozen=True)
class Unreadable:
    """A picture that cannot be decoded, and why."""

    row: int
    reason: str


@dataclass(frozen=True, eq=False)
class PreparedSlice:
    """A picture as the network sees it, and what leads back to its own pixels.

    Attributes:
      image: uint8 [s, s].
      box: what was cut out, in pixels of the slice (turned over, if it was).
      shape: height and width of the slice.
    """

    row: int
    image: UInt8[np.ndarray, "s s"]
    box: Box
    shape: tuple[int, int]
    flags: str

    def restored(
        self, values: Float32[np.ndarray, "s s"], *, settings: Preparation
    ) -> Float32[np.ndarray, "h w"]:
        """Values of the square at the slice's own pixels, 0 outside what was cut out."""
        height, width = self.shape
        return restore(
            values, box=self.box, height=height, width=width, settings=settings, flags=self.flags
        )


@dataclass(frozen=True, eq=False)
class LesionMap:
    """What the network says of one picture: the probability of lesion in the prepared square."""

    prepared: PreparedSlice
    lesion: Float32[np.ndarray, "s s"]
    settings: Preparation

    def restored(self) -> Float32[np.ndarray, "h w"]:
        """The probability of lesion at the slice's own pixels, 0 outside what was cut out."""
        return self.prepared.restored(self.lesion, settings=self.settings)


@dataclass(frozen=True)
class Segmenter:
    """A trained segmenter over all devices of its layout.

    Attributes:
      trained: the run it comes from.
      model: its network, at the scales of inference.
      settings: how its pictures are prepared: as those that it was trained on.
      batch_size: pictures in one call, over all devices.
      lesion: `(variables, images uint8 [b, s, s, 1]) -> float32 [b, s, s]`, compiled.
    """

    trained: Trained
    model: nn.Module
    settings: Preparation
    batch_size: int
    lesion: Callable[..., Any]

    @property
    def scales(self) -> tuple[float, ...]:
        """At which scales the network sees a picture."""
        return self.model.scales if isinstance(self.model, HMSANet) else (1.0,)

    def stream(
        self, pictures: Iterable[StoredSlice], *, stop: Callable[[], object] = lambda: False
    ) -> Iterator[LesionMap | Unreadable]:
        """Segment pictures, each exactly once and in order.

        Threads decode and prepare ahead while the devices compute, and the next batch computes
        while one is read back. The last batch is filled up with black.

        Args:
          pictures: read as they are needed, by a background thread.
          stop: asked before each batch; once it holds, what was begun is the last.
        """
        ready = map_ordered(functools.partial(_prepare, settings=self.settings), pictures)
        begun: tuple[list[PreparedSlice | Unreadable], Any] | None = None
        for batch in prefetch(_batches(ready, size=self.batch_size)):
            if stop():
                break
            following = (batch, self._begin(batch))
            if begun is not None:
                yield from self._read_back(*begun)
            begun = following
        if begun is not None:
            yield from self._read_back(*begun)

    def _begin(self, batch: list[PreparedSlice | Unreadable]) -> Any:
        side, layout = self.settings.image_size, self.trained.layout
        images = np.zeros((self.batch_size, side, side, 1), np.uint8)
        for place, item in enumerate(_readable(batch)):
            images[place, ..., 0] = item.image
        return self.lesion(self.trained.variables, layout.shard(images))

    def _read_back(
        self, batch: list[PreparedSlice | Unreadable], lesion: Any
    ) -> Iterator[LesionMap | Unreadable]:
        values = iter(self.trained.layout.gather(lesion))
        for item in batch:
            if isinstance(item, Unreadable):
                yield item
            else:
                yield LesionMap(item, next(values), self.settings)


def make_segmenter(trained: Trained, *, scales: Sequence[float] | None = None) -> Segmenter:
    """Compile a trained segmenter for inference.

    Args:
      scales: HMSANet's scales of inference, 1.0 among them; None for those of its run, which are
        (0.5, 1.0) unless its configuration says otherwise. Scale 2.0 costs four times as much.

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
        batch_size=round_up(trained.config.eval_batch_size, layout=trained.layout),
        lesion=_compiled(model, name=name, layout=trained.layout),
    )


def _at_scales(model: nn.Module, scales: Sequence[float] | None, *, name: str) -> nn.Module:
    if isinstance(model, HMSANet):
        return model if scales is None else model.clone(scales=checked_scales(scales))
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


def _compiled(model: nn.Module, *, name: str, layout: Layout) -> Callable[..., Any]:
    return layout.wrap(
        lesion_function(model),
        inputs=("replicated", "sharded"),
        outputs="sharded",
        compiler_options=compiler_options(name, platform=layout.platform),
    )


def _prepare(picture: StoredSlice, *, settings: Preparation) -> PreparedSlice | Unreadable:
    try:
        pixels = decode(picture.data, flags=picture.flags, settings=settings)
    except Exception as error:  # a damaged picture makes Pillow raise almost anything
        return Unreadable(picture.row, str(error) or type(error).__name__)
    return prepared(pixels, row=picture.row, flags=picture.flags, settings=settings)


def prepared(
    pixels: UInt8[np.ndarray, "h w"], *, row: int, flags: str = "", settings: Preparation
) -> PreparedSlice:
    """A decoded slice as the network sees it (turned over already, where `flags` ask for it)."""
    done = prepare(pixels, np.zeros_like(pixels), settings=settings)
    height, width = pixels.shape
    return PreparedSlice(
        row=row, image=done.image, box=done.box, shape=(height, width), flags=flags
    )


def _batches(
    items: Iterable[PreparedSlice | Unreadable], *, size: int
) -> Iterator[list[PreparedSlice | Unreadable]]:
    """Lists with `size` readable pictures each, the last one with what is left."""
    batch: list[PreparedSlice | Unreadable] = []
    for item in items:
        batch.append(item)
        if len(_readable(batch)) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _readable(batch: list[PreparedSlice | Unreadable]) -> list[PreparedSlice]:
    return [item for item in batch if isinstance(item, PreparedSlice)]
