"""A scan from its planes to its results, in batches: memory does not grow with its length."""

import contextlib
import functools
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8

from mgajax.data.loader import prefetch, to_float
from mgajax.explanation.baselines import black
from mgajax.explanation.methods import METHODS, ExplanationTask
from mgajax.imaging.geometry import Turn
from mgajax.imaging.lungs import LungRule, find_lungs, lung_field
from mgajax.imaging.windows import Window
from mgajax.inference import overlays as layers
from mgajax.inference.predictor import Prediction, Predictor
from mgajax.inference.problems import Problems
from mgajax.inference.results import ScanResult, SliceResult
from mgajax.inference.scan_warnings import Sign, find_scan_oddities, looks_shifted, mark_upside_down
from mgajax.inference.scans import Plane, Scan
from mgajax.inference.slice_warnings import Oddity, find_oddities, is_upside_down
from mgajax.inference.thorax import keep_inside, thorax_box
from mgajax.models.outputs import has_attention
from mgajax.progress import map_ordered, track


@dataclass(frozen=True)
class Settings:
    """How slices are read, predicted and drawn.

    Attributes:
      window: None for the stretch of the published set.
      turn: what makes slices upright, in addition to their geometry.
      variations: see `Predictor`.
      attribution: a name of `explanation.methods.METHODS`, or "none".
      threshold: probability from which on a pixel is lesion.
      batch_size: slices in memory at once.
      lung: the rule of lung area, see `imaging.lungs.LungRule`.
    """

    window: Window | None = None
    turn: Turn = "none"
    variations: int = 1
    attribution: str = "deeplift"
    threshold: float = 0.5
    batch_size: int = 16
    lung: LungRule = field(default_factory=LungRule)


@dataclass(frozen=True, eq=False)
class SliceView:
    """A slice with all that is written of it, as shown.

    Attributes:
      number: from 1.
      lesion: inside the thorax; empty where no chest is shown, None without a segmenter.
      lung: open lung; None without Hounsfield units, or where no chest is shown.
      attribution: see `_attribute`.
      oddities: warnings.
      sign: what it shows about the scan.
    """

    number: int
    plane: Plane
    picture: UInt8[np.ndarray, "h w"]
    prediction: Prediction
    lesion: Bool[np.ndarray, "h w"] | None
    lung: Bool[np.ndarray, "h w"] | None
    attribution: Float[np.ndarray, "h w"] | None
    oddities: tuple[Oddity, ...]
    sign: Sign

    @property
    def is_chest(self) -> bool:
        """Whether it shows a chest, and counts."""
        return Oddity.NOT_CHEST not in self.oddities


def predict_scan(
    scan: Scan, *, predictor: Predictor, folder: Path, settings: Settings, problems: Problems
) -> ScanResult | None:
    """Predict the slices of a scan, and write its masks and pictures; None where no slice can be read.

    Args:
      folder: a new one, for the scan.
    """
    for name in layer_names(predictor, settings=settings):
        (folder / name).mkdir(parents=True)
    finish = functools.partial(_finish_slice, folder=folder)
    with contextlib.ExitStack() as stack:
        write = None
        if predictor.segmenter is not None:
            write = stack.enter_context(scan.masks(folder, problems))
        results: list[SliceResult] = []
        signs: list[Sign] = []
        planes = track(scan.planes(problems), description=scan.name, total=len(scan))
        for batch in prefetch(_batches(planes, settings=settings), depth=1):
            views = _predict_batch(
                batch, predictor=predictor, settings=settings, finished=len(results)
            )
            for view in views:
                if write is not None and view.lesion is not None:
                    write(view.plane, view.lesion)
            results += map_ordered(finish, views)
            signs += [view.sign for view in views]
    if not results:
        problems.note(f"{scan.name}: none of its slices ({len(scan)}) can be read")
        return None
    result = ScanResult(
        name=scan.name,
        patient=scan.patient,
        source=scan.source,
        kind=scan.kind,
        slices=tuple(results),
    )
    result = mark_upside_down(result, signs)
    for oddity in find_scan_oddities(result, signs):
        problems.note(f"{scan.name}: {oddity}", kind="odd")
    return result


def layer_names(predictor: Predictor, *, settings: Settings) -> tuple[str, ...]:
    """The folders of pictures: of the slices, and of each overlay that the networks give."""
    names = ["slices"]
    if predictor.segmenter is not None:
        names += ["lesion", "overlays"]
    if predictor.classifiers:
        names += ["attention"] if has_attention(predictor.classifiers[0].trained.model) else []
        names += ["attribution"] if settings.attribution != "none" else []
    return tuple(names)


SlicePicture = tuple[Plane, UInt8[np.ndarray, "h w"]]


def _batches(planes: Iterable[Plane], *, settings: Settings) -> Iterator[list[SlicePicture]]:
    pictured = ((plane, plane.picture(settings.window)) for plane in planes)
    while batch := list(itertools.islice(pictured, settings.batch_size)):
        yield batch


def _predict_batch(
    batch: list[SlicePicture], *, predictor: Predictor, settings: Settings, finished: int
) -> list[SliceView]:
    predictions = predictor([picture for _, picture in batch])
    attributions = _attribute(predictions, predictor=predictor, settings=settings)
    numbers = itertools.count(finished + 1)
    slices = zip(numbers, batch, predictions, attributions, strict=False)
    return list(map_ordered(lambda slice_: _judge_slice(*slice_, settings=settings), slices))


def _judge_slice(
    number: int,
    pictured: SlicePicture,
    prediction: Prediction,
    attribution: Float[np.ndarray, "h w"] | None,
    *,
    settings: Settings,
) -> SliceView:
    """Judge what counts of a slice's prediction: nothing where it shows no chest."""
    plane, picture = pictured
    body, rule = prediction.body, settings.lung
    # Values without any below zero are no Hounsfield units, whatever the file says.
    is_hounsfield = plane.unit == "HU" and plane.values.min() < 0
    air = plane.values < rule.air_below if is_hounsfield else None
    warnings = find_oddities(picture, body=body, air=air)
    lesion = None if prediction.lesion is None else prediction.lesion >= settings.threshold
    lung, is_turned = None, None
    if body is None or Oddity.NOT_CHEST in warnings:
        lesion = None if lesion is None else np.zeros_like(lesion)
    else:
        if plane.position is None:  # without geometry the picture must show what is up
            is_turned = is_upside_down(picture, body=body)
        lung = find_lungs(plane.values, rule=rule).lung if plane.unit == "HU" else None
        if lesion is not None:
            open_lung = lung if lung is not None and lung.any() else lung_field(picture)
            lesion = keep_inside(lesion, thorax_box(open_lung, body=body))
    return SliceView(
        number=number,
        plane=plane,
        picture=picture,
        prediction=prediction,
        lesion=lesion,
        lung=lung,
        attribution=attribution,
        oddities=warnings + ((Oddity.COLOURED,) if plane.is_coloured else ()),
        sign=Sign(is_turned, looks_shifted(plane)),
    )


def _attribute(
    predictions: tuple[Prediction, ...], *, predictor: Predictor, settings: Settings
) -> list[Float[np.ndarray, "h w"] | None]:
    """Attributions of each slice's predicted class against a black picture, of the first classifier."""
    if settings.attribution == "none" or not predictor.classifiers:
        return [None] * len(predictions)
    network = predictor.classifiers[0]
    # The last slice is repeated up to a full batch: of one shape, the method is compiled once.
    indices = np.arange(settings.batch_size).clip(max=len(predictions) - 1)
    pixels = np.stack([predictions[index].prepared.image for index in indices])
    chances = [predictions[index].probabilities for index in indices]
    images = np.asarray(to_float(pixels[..., None]))
    targets = np.array([chance.argmax() for chance in chances if chance is not None])
    task = ExplanationTask(network.trained.model, network.variables, images, black(images), targets)
    maps = METHODS[settings.attribution].explain(task).values
    return [
        prediction.prepared.restore(values, settings=network.settings)
        for prediction, values in zip(predictions, maps, strict=False)
    ]


def _finish_slice(view: SliceView, *, folder: Path) -> SliceResult:
    """Draw a slice and measure it."""
    _draw(view, folder=folder)
    plane, lesion, lung = view.plane, view.lesion, view.lung
    if lung is not None and lesion is not None:
        lung = lung | lesion
    return SliceResult(
        number=view.number,
        name=plane.name,
        source=plane.path,
        position=plane.position,
        voxel_ml=plane.voxel_ml,
        members=view.prediction.members if view.is_chest else None,
        lesion_pixels=int(lesion.sum()) if view.is_chest and lesion is not None else None,
        lung_pixels=None if lung is None else int(lung.sum()),
        oddities=view.oddities,
    )


def _draw(view: SliceView, *, folder: Path) -> None:
    name = f"{view.number:04}"
    layers.save_slice(view.picture, folder / "slices" / f"{name}.jpg")
    if view.lesion is not None:
        layers.save_lesion(view.lesion, folder / "lesion" / f"{name}.png")
        layers.save_overlay(view.picture, view.lesion, folder / "overlays" / f"{name}.png")
    attention, attribution = view.prediction.attention, view.attribution
    if attention is not None and (folder / "attention").is_dir():
        heat = attention if view.is_chest else np.zeros_like(attention)
        layers.save_heat(heat, folder / "attention" / f"{name}.png")
    if attribution is not None:
        signed = attribution if view.is_chest else np.zeros_like(attribution)
        layers.save_signed(signed, folder / "attribution" / f"{name}.png")
