"""Trained runs as one function: slices in, class probabilities and lesions out.

    predictor = Predictor("runs/mga", "runs/hmsanet")
    results = predictor([slice_, ...])           # uint8 [h, w], of any sizes
    results[0].probabilities, results[0].lesion

Several classifiers are an ensemble: their probabilities are averaged.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Float64, Int32, UInt8

from mgajax.data.augmentation import Augmentation, augment, example_keys
from mgajax.data.loader import to_float
from mgajax.data.preparation import Preparation
from mgajax.errors import ConfigError, DataError
from mgajax.imaging.body import foreground
from mgajax.inference.segmenter import FramedSlice, lesion_function, prepared
from mgajax.models.registry import CLASSIFIERS, SEGMENTERS
from mgajax.progress import map_ordered
from mgajax.training.batch_inference import BatchInference
from mgajax.training.sharding import first_device
from mgajax.training.trained import TrainedNetwork, load_trained

BUCKETS: tuple[int, ...] = (1, 2, 4, 8, 16)
"""Batch sizes by default: at most half of a batch is filling."""

SPREAD = (0.05, 0.95)
"""Quantiles of the members' probabilities between which `spread` lies."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the networks say of one slice.

    Attributes:
      probabilities: of the classes, the mean over the members; None without a classifier.
      members: the same of each member: every classifier × every variation, the classifier's
        number changing slowest.
      attention: the attention map of the first classifier that lesions guide (or its last one) at
        the slice's own pixels, 0 outside what was cut out; None where there is none.
      lesion: the probability of lesion at the slice's own pixels; None without a segmenter.
      prepared: the slice as the first network saw it.
      body: as it was found for that network; None where none was.
    """

    probabilities: Float64[np.ndarray, "k"] | None
    members: Float64[np.ndarray, "m k"] | None
    attention: Float32[np.ndarray, "h w"] | None
    lesion: Float32[np.ndarray, "h w"] | None
    prepared: FramedSlice
    body: Bool[np.ndarray, "h w"] | None


def spread(
    members: Float64[np.ndarray, "m k"],
) -> tuple[Float64[np.ndarray, "k"], Float64[np.ndarray, "k"]] | None:
    """Where nine tenths of the members' probabilities lie, class by class; None of one member.

    It tells how much a prediction hangs on the network chosen, or on small changes of the slice.
    It is no confidence interval: networks that agree may all be wrong.
    """
    if len(members) < 2:
        return None
    low, high = np.quantile(members, SPREAD, axis=0)
    return low, high


@dataclass(frozen=True, eq=False)
class RunNetwork:
    """One run inside of a `Predictor`.

    Attributes:
      trained: the run.
      settings: how its slices are prepared.
      variables: what `model.apply` takes, on the host.
      apply: images to a dictionary of results, see `_classified`, or to probabilities of lesion.
      vary: the same for varied images, by the variation's number; None where nothing is varied.
    """

    trained: TrainedNetwork
    settings: Preparation
    variables: Any
    apply: BatchInference
    vary: BatchInference | None = None


class Predictor:
    """Trained runs, ready to predict; threads may share it.

    Every network is compiled once a batch size of `buckets`, on the first device. A slice's result
    does not depend on the slices beside it.
    """

    def __init__(
        self,
        *runs: str | Path | TrainedNetwork,
        variations: int = 1,
        buckets: Sequence[int] = BUCKETS,
        overrides: Sequence[str] = (),
    ) -> None:
        """Load the best checkpoints.

        Args:
          runs: folders that `mgajax train` made, or what `load_trained` gave: any number of
            classifiers, at most one segmenter.
          variations: test-time augmentation: how many times each classifier sees a slice, once as
            it is and the others varied as in its training. The n-th variation is the same for
            every slice. Segmenters see it once.
          buckets: batch sizes, see `BatchInference`.
          overrides: `--config.key=value` for keys that do not change numbers.

        Raises:
          ConfigError: no run, two segmenters, or fewer than one variation.
          CheckpointError: a run without a checkpoint.
        """
        if variations < 1:
            raise ConfigError(f"variations={variations}: expected at least 1 (1: none)")
        trained = [
            run if isinstance(run, TrainedNetwork) else load_trained(Path(run), overrides=overrides)
            for run in runs
        ]
        names = [one.config.model.name for one in trained]
        segmenters = [one for one, name in zip(trained, names, strict=True) if name in SEGMENTERS]
        if not trained or len(segmenters) > 1:
            raise ConfigError(
                f"runs of {', '.join(names) or 'nothing'}: expected classifiers "
                f"({', '.join(CLASSIFIERS)}) and at most one segmenter ({', '.join(SEGMENTERS)})"
            )
        self.variations = variations
        self.classifiers = tuple(
            _classifier(one, variations=variations, buckets=buckets)
            for one, name in zip(trained, names, strict=True)
            if name in CLASSIFIERS
        )
        self.segmenter = _segmenter(segmenters[0], buckets=buckets) if segmenters else None

    @property
    def networks(self) -> tuple[RunNetwork, ...]:
        """The classifiers, then the segmenter."""
        return (*self.classifiers, *filter(None, [self.segmenter]))

    def __call__(self, images: Sequence[np.ndarray] | np.ndarray) -> tuple[Prediction, ...]:
        """Predict slices, in order.

        Args:
          images: uint8 grey levels, upright, rendered as the training set was: `[h, w]` or
            `[h, w, 1]` each, of any sizes, or one array of them.

        Raises:
          DataError: an image of another shape or type.
        """
        pictures = [_checked(image, place=place) for place, image in enumerate(images)]
        if not pictures:
            return ()
        wanted = list(dict.fromkeys(network.settings for network in self.networks))
        shares = {settings.minimum_foreground for settings in wanted}
        bodies = {share: _bodies(pictures, minimum=share) for share in shares}
        ready = {
            settings: _prepared(pictures, bodies[settings.minimum_foreground], settings=settings)
            for settings in wanted
        }
        found = [self._classified(one, ready[one.settings]) for one in self.classifiers]
        members = np.concatenate([chances for chances, _ in found]) if found else None
        attention = _restored(found[0][1], self.classifiers[0], ready) if found else None
        lesions = None
        if self.segmenter is not None:
            stacked = _stacked(ready[self.segmenter.settings])
            lesions = _restored(self.segmenter.apply(stacked), self.segmenter, ready)
        first = self.networks[0].settings
        return tuple(
            Prediction(
                probabilities=None if members is None else members[:, place].mean(axis=0),
                members=None if members is None else members[:, place],
                attention=None if attention is None else attention[place],
                lesion=None if lesions is None else lesions[place],
                prepared=ready[first][place],
                body=bodies[first.minimum_foreground][place],
            )
            for place in range(len(pictures))
        )

    def _classified(
        self, network: RunNetwork, slices: Sequence[FramedSlice]
    ) -> tuple[Float64[np.ndarray, "m n k"], Float32[np.ndarray, "n s s"] | None]:
        """Probabilities under each variation, and the attention map of the first."""
        stacked = _stacked(slices)
        plain = network.apply(stacked)
        chances = [plain["probabilities"]]
        if network.vary is not None:
            chances += [
                network.vary(stacked, np.int32(number))["probabilities"]
                for number in range(1, self.variations)
            ]
        return np.stack(chances).astype(np.float64), plain.get("attention")


def _classifier(trained: TrainedNetwork, *, variations: int, buckets: Sequence[int]) -> RunNetwork:
    function, layout = functools.partial(_classified, trained.model), first_device()
    vary = None
    if variations > 1:
        amounts = Augmentation(**trained.config.augmentation)
        varied = _after_variation(function, settings=amounts, seed=int(trained.config.seed))
        vary = trained.inference(varied, sizes=buckets, layout=layout, further=1)
    return _network(trained, trained.inference(function, sizes=buckets, layout=layout), vary=vary)


def _segmenter(trained: TrainedNetwork, *, buckets: Sequence[int]) -> RunNetwork:
    function = lesion_function(trained.model)
    return _network(trained, trained.inference(function, sizes=buckets, layout=first_device()))


def _network(
    trained: TrainedNetwork, apply: BatchInference, *, vary: BatchInference | None = None
) -> RunNetwork:
    settings = Preparation(**trained.config.preparation)
    return RunNetwork(trained, settings, jax.device_get(trained.variables), apply, vary)


def _classified(
    model: nn.Module,
    variables: Any,
    images: UInt8[Array, "b s s 1"] | Float[Array, "b s s 1"],
) -> dict[str, Float[Array, "b ..."]]:
    """`probabilities` [b, k], and `attention` [b, s, s] of networks that have it."""
    inputs = to_float(images) if images.dtype == jnp.uint8 else images
    output: Any = model.apply(variables, inputs, train=False)
    found = {"probabilities": jax.nn.softmax(output.logits.astype(jnp.float32), axis=-1)}
    if (shown := output.shown_attention) is not None:
        maps = shown.astype(jnp.float32)
        found["attention"] = jax.image.resize(maps, images.shape[:3], "linear", antialias=False)
    return found


def _after_variation(
    function: Callable[..., Any], *, settings: Augmentation, seed: int
) -> Callable[..., Any]:
    def varied(variables: Any, images: UInt8[Array, "b s s 1"], number: Int32[Array, ""]) -> Any:
        # One key for all: a slice's variation does not depend on its place in the batch.
        same = jnp.zeros(images.shape[0], jnp.int32)
        keys = example_keys(seed=seed, step=number, positions=same)
        floats = to_float(images)
        return function(
            variables, augment(keys, floats, jnp.zeros_like(floats), settings=settings)[0]
        )

    return varied


def _checked(image: np.ndarray, *, place: int) -> UInt8[np.ndarray, "h w"]:
    plane = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
    if plane.ndim != 2 or plane.dtype != np.uint8 or not plane.size:
        raise DataError(
            f"images[{place}]: {image.dtype} {image.shape}, expected uint8 [h, w]; render Hounsfield "
            "units first (mgajax.imaging.windows.to_8_bit)"
        )
    return plane


def _bodies(
    pictures: Sequence[UInt8[np.ndarray, "_ _"]], *, minimum: float
) -> tuple[Bool[np.ndarray, "_ _"] | None, ...]:
    """The body in each picture, which networks of different sizes share."""
    return tuple(map_ordered(functools.partial(foreground, minimum=minimum), pictures))


def _prepared(
    pictures: Sequence[UInt8[np.ndarray, "_ _"]],
    bodies: Sequence[Bool[np.ndarray, "_ _"] | None],
    *,
    settings: Preparation,
) -> tuple[FramedSlice, ...]:
    def one(place: int) -> FramedSlice:
        return prepared(pictures[place], bodies[place], row=place, settings=settings)

    return tuple(map_ordered(one, range(len(pictures))))


def _stacked(slices: Sequence[FramedSlice]) -> UInt8[np.ndarray, "n s s 1"]:
    return np.stack([one.image for one in slices])[..., None]


def _restored(
    values: Float32[np.ndarray, "n s s"] | None,
    network: RunNetwork,
    ready: dict[Preparation, tuple[FramedSlice, ...]],
) -> list[Float32[np.ndarray, "_ _"]] | None:
    """Maps of a network's squares at the slices' own pixels."""
    if values is None:
        return None
    pairs = zip(ready[network.settings], values, strict=True)
    return [one.restored(value, settings=network.settings) for one, value in pairs]
