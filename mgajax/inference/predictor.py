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
from mgajax.inference.segmenter import FramedSlice, frame_slice, lesion_function
from mgajax.models.registry import CLASSIFIERS, SEGMENTERS
from mgajax.progress import map_ordered
from mgajax.training.batch_inference import BatchInference
from mgajax.training.sharding import first_device
from mgajax.training.trained import TrainedNetwork, load_trained

BUCKETS: tuple[int, ...] = (1, 2, 4, 8, 16)
"""Batch sizes by default: at most half of a batch is padding."""

SPREAD = (0.05, 0.95)
"""Quantiles of the members' probabilities between which `spread` lies."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """The networks' results for one slice.

    Attributes:
      probabilities: of the classes, the mean over the members; None without a classifier.
      members: the same of each member: every classifier × every variation, the classifier's
        number changing slowest.
      attention: the attention map of the first classifier that lesions guide (or its last one) at
        the slice's own pixels, 0 outside the crop; None where there is none.
      lesion: the probability of lesion at the slice's own pixels; None without a segmenter.
      prepared: the slice as the first network sees it.
      body: as found for that network; None where none was found.
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
    """Bounds of nine tenths of the members' probabilities, by class; None for a single member.

    They show how much a prediction depends on the chosen network, or on small changes of the slice.
    They are no confidence interval: networks that agree may all be wrong.
    """
    if len(members) < 2:
        return None
    low, high = np.quantile(members, SPREAD, axis=0)
    return low, high


@dataclass(frozen=True, eq=False)
class RunNetwork:
    """One run of a `Predictor`.

    Attributes:
      trained: the run.
      settings: how its slices are prepared.
      variables: for `model.apply`, on the host.
      apply: images to a dictionary of results, see `_classify`, or to probabilities of lesion.
      vary: the same for varied images, by the variation's number; None without variations.
    """

    trained: TrainedNetwork
    settings: Preparation
    variables: Any
    apply: BatchInference
    vary: BatchInference | None


class Predictor:
    """Trained runs, ready to predict; threads may share it.

    Every network is compiled once for each batch size of `buckets`, on the first device. A slice's
    result does not depend on the other slices of its batch.
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
          runs: folders that `mgajax train` made, or results of `load_trained`: any number of
            classifiers, at most one segmenter.
          variations: test-time augmentation: how often each classifier sees a slice, once
            unchanged and the other times varied as in its training. The n-th variation is the same
            for every slice. Segmenters see a slice once.
          buckets: batch sizes, see `BatchInference`.
          overrides: `--config.key=value` for keys that do not change numbers.

        Raises:
          ConfigError: no run, two segmenters, or fewer than one variation.
          CheckpointError: a run without a checkpoint.
        """
        if variations < 1:
            raise ConfigError(f"variations={variations}: expected at least 1 (1: none)")
        networks = [
            run if isinstance(run, TrainedNetwork) else load_trained(Path(run), overrides=overrides)
            for run in runs
        ]
        names = [network.config.model.name for network in networks]
        segmenters = [
            network for network, name in zip(networks, names, strict=True) if name in SEGMENTERS
        ]
        if not networks or len(segmenters) > 1:
            raise ConfigError(
                f"runs of {', '.join(names) or 'nothing'}: expected classifiers "
                f"({', '.join(CLASSIFIERS)}) and at most one segmenter ({', '.join(SEGMENTERS)})"
            )
        self.variations = variations
        self.classifiers = tuple(
            _compile_classifier(network, variations=variations, buckets=buckets)
            for network, name in zip(networks, names, strict=True)
            if name in CLASSIFIERS
        )
        self.segmenter = _compile_segmenter(segmenters[0], buckets=buckets) if segmenters else None

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
        pictures = [_check_image(image, index=index) for index, image in enumerate(images)]
        if not pictures:
            return ()
        preparations = list(dict.fromkeys(network.settings for network in self.networks))
        shares = {settings.minimum_foreground for settings in preparations}
        bodies = {share: _find_bodies(pictures, minimum=share) for share in shares}
        prepared = {
            settings: _frame_slices(
                pictures, bodies[settings.minimum_foreground], settings=settings
            )
            for settings in preparations
        }
        outputs = [
            self._classify(network, prepared[network.settings]) for network in self.classifiers
        ]
        members = (
            np.concatenate([probabilities for probabilities, _ in outputs]) if outputs else None
        )
        attention = _restore_maps(outputs[0][1], self.classifiers[0], prepared) if outputs else None
        lesions = None
        if self.segmenter is not None:
            squares = _stack(prepared[self.segmenter.settings])
            lesions = _restore_maps(self.segmenter.apply(squares), self.segmenter, prepared)
        first = self.networks[0].settings
        return tuple(
            Prediction(
                probabilities=None if members is None else members[:, index].mean(axis=0),
                members=None if members is None else members[:, index],
                attention=None if attention is None else attention[index],
                lesion=None if lesions is None else lesions[index],
                prepared=prepared[first][index],
                body=bodies[first.minimum_foreground][index],
            )
            for index in range(len(pictures))
        )

    def _classify(
        self, network: RunNetwork, slices: Sequence[FramedSlice]
    ) -> tuple[Float64[np.ndarray, "m n k"], Float32[np.ndarray, "n s s"] | None]:
        """Probabilities under each variation, and the attention map of the first."""
        images = _stack(slices)
        output = network.apply(images)
        probabilities = [output["probabilities"]]
        if network.vary is not None:
            probabilities += [
                network.vary(images, np.int32(number))["probabilities"]
                for number in range(1, self.variations)
            ]
        return np.stack(probabilities).astype(np.float64), output.get("attention")


def _compile_classifier(
    trained: TrainedNetwork, *, variations: int, buckets: Sequence[int]
) -> RunNetwork:
    function, layout = functools.partial(_classify, trained.model), first_device()
    vary = None
    if variations > 1:
        amounts = Augmentation(**trained.config.augmentation)
        varied = _vary_inputs(function, settings=amounts, seed=int(trained.config.seed))
        vary = trained.inference(varied, sizes=buckets, layout=layout, further=1)
    return _make_network(
        trained, trained.inference(function, sizes=buckets, layout=layout), vary=vary
    )


def _compile_segmenter(trained: TrainedNetwork, *, buckets: Sequence[int]) -> RunNetwork:
    function = lesion_function(trained.model)
    return _make_network(trained, trained.inference(function, sizes=buckets, layout=first_device()))


def _make_network(
    trained: TrainedNetwork, apply: BatchInference, *, vary: BatchInference | None = None
) -> RunNetwork:
    settings = Preparation(**trained.config.preparation)
    return RunNetwork(trained, settings, jax.device_get(trained.variables), apply, vary)


def _classify(
    model: nn.Module,
    variables: Any,
    images: UInt8[Array, "b s s 1"] | Float[Array, "b s s 1"],
) -> dict[str, Float[Array, "b ..."]]:
    """`probabilities` [b, k], and `attention` [b, s, s] of networks that have it."""
    inputs = to_float(images) if images.dtype == jnp.uint8 else images
    output: Any = model.apply(variables, inputs, train=False)
    outputs = {"probabilities": jax.nn.softmax(output.logits.astype(jnp.float32), axis=-1)}
    if (attention := output.shown_attention) is not None:
        maps = attention.astype(jnp.float32)
        outputs["attention"] = jax.image.resize(maps, images.shape[:3], "linear", antialias=False)
    return outputs


def _vary_inputs(
    function: Callable[..., Any], *, settings: Augmentation, seed: int
) -> Callable[..., Any]:
    def vary(variables: Any, images: UInt8[Array, "b s s 1"], number: Int32[Array, ""]) -> Any:
        # One key for all: a slice's variation must not depend on its position in the batch.
        positions = jnp.zeros(images.shape[0], jnp.int32)
        keys = example_keys(seed=seed, step=number, positions=positions)
        inputs = to_float(images)
        return function(
            variables, augment(keys, inputs, jnp.zeros_like(inputs), settings=settings)[0]
        )

    return vary


def _check_image(image: np.ndarray, *, index: int) -> UInt8[np.ndarray, "h w"]:
    plane = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
    if plane.ndim != 2 or plane.dtype != np.uint8 or not plane.size:
        raise DataError(
            f"images[{index}]: {image.dtype} {image.shape}, expected uint8 [h, w]; render Hounsfield "
            "units first (mgajax.imaging.windows.to_8_bit)"
        )
    return plane


def _find_bodies(
    pictures: Sequence[UInt8[np.ndarray, "_ _"]], *, minimum: float
) -> tuple[Bool[np.ndarray, "_ _"] | None, ...]:
    """The body in each picture, which networks of different sizes share."""
    return tuple(map_ordered(functools.partial(foreground, minimum=minimum), pictures))


def _frame_slices(
    pictures: Sequence[UInt8[np.ndarray, "_ _"]],
    bodies: Sequence[Bool[np.ndarray, "_ _"] | None],
    *,
    settings: Preparation,
) -> tuple[FramedSlice, ...]:
    def frame(index: int) -> FramedSlice:
        return frame_slice(pictures[index], bodies[index], row=index, settings=settings)

    return tuple(map_ordered(frame, range(len(pictures))))


def _stack(slices: Sequence[FramedSlice]) -> UInt8[np.ndarray, "n s s 1"]:
    return np.stack([slice_.image for slice_ in slices])[..., None]


def _restore_maps(
    values: Float32[np.ndarray, "n s s"] | None,
    network: RunNetwork,
    prepared_slices: dict[Preparation, tuple[FramedSlice, ...]],
) -> list[Float32[np.ndarray, "_ _"]] | None:
    """A network's maps at the slices' own pixels."""
    if values is None:
        return None
    pairs = zip(prepared_slices[network.settings], values, strict=True)
    return [slice_.restore(value, settings=network.settings) for slice_, value in pairs]
