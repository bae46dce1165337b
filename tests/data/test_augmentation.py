"""Augmentation by key: geometry shared with the mask, grey levels, independence of devices."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from scipy import ndimage

from mgajax.data.augmentation import (
    Augmentation,
    _draw_affine,
    _sample,
    augment,
    example_keys,
)
from mgajax.data.line_sampling import sample_by_lines
from mgajax.data.loader import IMAGE_MEAN, IMAGE_STD, mask_to_float, to_float
from mgajax.errors import ConfigError

SIDE = 64
COUNT = 16
"""Of every batch. By single operations, each compiles once for all settings, not once for each."""

NO_AUGMENTATION = Augmentation(**{f.name: 0.0 for f in dataclasses.fields(Augmentation)})


@functools.cache
def keys(*, step: int = 0) -> jax.Array:
    return example_keys(seed=5, step=step, positions=jnp.arange(COUNT, dtype=jnp.int32))


def pictures(*, seed: int = 0) -> np.ndarray:
    """Smooth uint8 pictures [COUNT, SIDE, SIDE, 1], dark at the rim, with a bright spot each."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=(COUNT, SIDE, SIDE)), (0, 4, 4))
    y, x = np.mgrid[:SIDE, :SIDE] / (SIDE - 1) * 2 - 1
    body = (y**2 + x**2 < 0.5) * (140 + 400 * noise)
    spot = np.exp(-((y - 0.2) ** 2 + (x + 0.25) ** 2) / 0.01)
    return np.clip(body * (1 - spot) + 255 * spot, 0, 255).astype(np.uint8)[..., None]


def grey(images: jax.Array) -> np.ndarray:
    """Back from standardised values to grey levels in [0, 1]."""
    return np.asarray(images) * IMAGE_STD + IMAGE_MEAN


def only(**amounts: float) -> Augmentation:
    return dataclasses.replace(NO_AUGMENTATION, **amounts)


def test_all_amounts_zero_is_the_identity() -> None:
    images = to_float(pictures())
    masks = mask_to_float(pictures(seed=1))
    varied, moved = augment(keys(), images, masks, settings=NO_AUGMENTATION)
    np.testing.assert_array_equal(varied, images)
    np.testing.assert_array_equal(moved, masks)


@pytest.mark.parametrize(
    "settings",
    [
        only(flip=0.5),
        only(rotation_degrees=25.0),
        only(scale=0.3),
        only(translate=0.2),
        Augmentation(brightness=0.0, contrast=0.0, gamma=0.0),
    ],
)
def test_mask_moves_with_the_image(settings: Augmentation) -> None:
    """A mask equal to the picture's grey levels stays equal to them, wherever it goes."""
    images = to_float(pictures())
    varied, moved = augment(keys(), images, jnp.asarray(grey(images)), settings=settings)
    np.testing.assert_allclose(moved, grey(varied), atol=1e-5)
    assert np.abs(np.asarray(varied - images)).max() > 0.5


def test_flip_is_exact_and_as_frequent_as_asked() -> None:
    images = to_float(pictures())
    same = jnp.repeat(images[:1], COUNT, axis=0)
    mirrored = []
    for step in range(13):
        varied, _ = augment(keys(step=step), same, jnp.zeros_like(same), settings=only(flip=0.3))
        other, unflipped = (
            np.abs(np.asarray(varied) - np.asarray(unvaried)).max(axis=(1, 2, 3)) < 1e-5
            for unvaried in (same[:, :, ::-1], same)
        )
        assert (other ^ unflipped).all()
        mirrored += other.tolist()
    assert 0.2 < np.mean(mirrored) < 0.4


def test_a_certain_flip_mirrors_every_example() -> None:
    images = to_float(pictures())
    varied, _ = augment(keys(), images, jnp.zeros_like(images), settings=only(flip=1.0))
    np.testing.assert_allclose(varied, images[:, :, ::-1], atol=1e-5)


def centre(pictures: np.ndarray) -> np.ndarray:
    """Centre of mass (y, x) of each picture, from the middle of the frame."""
    weights = np.asarray(pictures)[..., 0]
    grid = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    return np.stack([(weights * axis).sum((1, 2)) / weights.sum((1, 2)) for axis in grid], axis=1)


def spots() -> jax.Array:
    """A small disc off the centre, as masks."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    disc = ((y + 12) ** 2 + (x - 9) ** 2 < 16).astype(np.float32)
    return jnp.repeat(jnp.asarray(disc)[None, :, :, None], COUNT, axis=0)


def test_rotation_keeps_the_distance_and_is_bounded() -> None:
    masks = spots()
    _, moved = augment(keys(), to_float(pictures()), masks, settings=only(rotation_degrees=20.0))
    before, after = centre(masks), centre(moved)
    radius = np.linalg.norm(before, axis=1)
    np.testing.assert_allclose(np.linalg.norm(after, axis=1), radius, atol=0.2)
    turn = np.degrees(np.arctan2(after[:, 0], after[:, 1]) - np.arctan2(before[:, 0], before[:, 1]))
    assert np.abs(turn).max() <= 20.5
    assert np.abs(turn).max() > 10
    assert turn.min() < 0 < turn.max()


def test_scale_magnifies_about_the_centre() -> None:
    masks = spots()
    _, moved = augment(keys(), to_float(pictures()), masks, settings=only(scale=0.25))
    factors = centre(moved) / centre(masks)
    np.testing.assert_allclose(factors[:, 0], factors[:, 1], atol=0.03)
    assert 0.74 < factors.min() < 0.95
    assert 1.05 < factors.max() < 1.26
    area = np.asarray(moved).sum((1, 2, 3)) / np.asarray(masks).sum((1, 2, 3))
    np.testing.assert_allclose(area, factors.mean(axis=1) ** 2, rtol=0.12)


def test_translation_is_bounded_and_brings_in_background() -> None:
    masks = spots()
    full = jnp.ones((COUNT, SIDE, SIDE, 1), jnp.float32)
    varied, moved = augment(keys(), full, masks, settings=only(translate=0.1))
    shift = centre(moved) - centre(masks)
    assert np.abs(shift).max() <= 0.1 * SIDE + 1e-3
    assert np.abs(shift).max() > 3
    np.testing.assert_allclose(grey(varied).min(axis=(1, 2, 3)), 0.0, atol=1e-6)


def test_sampling_is_bilinear() -> None:
    """Against SciPy's order-1 affine transform, with the matrix found from the moved coordinates."""
    values = jnp.asarray(grey(to_float(pictures())))
    ramps = [jnp.asarray(axis / 100, jnp.float32) for axis in np.mgrid[:SIDE, :SIDE]]
    settings = Augmentation(brightness=0.0, contrast=0.0, gamma=0.0)
    coordinates = [
        100
        * np.asarray(
            augment(keys(), values, jnp.stack([ramp[..., None]] * COUNT), settings=settings)[1]
        )
        for ramp in ramps
    ]
    _, moved = augment(keys(), values, values, settings=settings)
    inner = np.s_[22:42, 22:42]  # far from the frame, where the ramps are not cut off
    for example in range(COUNT):
        points = [moved_ramp[example][inner][..., 0] for moved_ramp in coordinates]
        expected = ndimage.map_coordinates(np.asarray(values)[example, ..., 0], points, order=1)
        np.testing.assert_allclose(moved[example][inner][..., 0], expected, atol=1e-4)


@pytest.mark.parametrize("name", ["brightness", "contrast", "gamma", "noise"])
def test_grey_levels_change_but_background_and_mask_do_not(name: str) -> None:
    source = pictures()
    masks = mask_to_float(source)
    varied, varied_masks = augment(keys(), to_float(source), masks, settings=only(**{name: 0.3}))
    levels = grey(varied)
    np.testing.assert_allclose(varied_masks, masks, atol=1e-7)
    np.testing.assert_allclose(levels[source == 0], 0.0, atol=1e-6)
    assert levels.min() > -1e-6
    assert levels.max() < 1 + 1e-6
    change = np.abs(levels - source / 255).mean(axis=(1, 2, 3))
    assert (change > 1e-6).all()
    assert change.max() > 0.002
    assert change.max() < 0.2


@pytest.mark.parametrize("name", ["brightness", "contrast", "gamma"])
def test_grey_levels_keep_their_order(name: str) -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8), SIDE**2 // 256)
    images = to_float(np.tile(ramp.reshape(1, SIDE, SIDE, 1), (COUNT, 1, 1, 1)))
    strongest = only(**{name: 1.0})
    for step in range(2):
        varied, _ = augment(keys(step=step), images, jnp.zeros_like(images), settings=strongest)
        assert (np.diff(grey(varied).reshape(COUNT, -1), axis=1) > -1e-6).all()


def test_pure_function_of_the_keys() -> None:
    images, masks = to_float(pictures()), jnp.zeros((COUNT, SIDE, SIDE, 1), jnp.float32)
    run = functools.partial(augment, settings=Augmentation())
    first, again, other = (run(keys(step=s), images, masks)[0] for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (np.abs(np.asarray(first - other)).max(axis=(1, 2, 3)) > 0.01).all()
    differences = np.abs(np.asarray(first)[:, None] - np.asarray(first)[None]).max(axis=(2, 3, 4))
    assert (differences + np.eye(COUNT) > 0.01).all()


def test_same_numbers_on_any_device_count() -> None:
    images = to_float(pictures())
    masks = mask_to_float(pictures(seed=1))
    settings = Augmentation(noise=0.02)
    compiled = jax.jit(functools.partial(augment, settings=settings))
    whole = compiled(keys(), images, masks)
    mesh = jax.make_mesh((8,), ("data",))
    placed = jax.device_put((keys(), images, masks), NamedSharding(mesh, PartitionSpec("data")))
    spread = compiled(*placed)
    halves = [compiled(keys()[half], images[half], masks[half]) for half in (np.s_[:8], np.s_[8:])]
    for number in (0, 1):
        np.testing.assert_allclose(whole[number], spread[number], atol=1e-6)
        joined = np.concatenate([half[number] for half in halves])
        np.testing.assert_allclose(whole[number], joined, atol=1e-6)


def test_unusable_amount_is_named() -> None:
    with pytest.raises(ConfigError, match=r"augmentation\.flip=1\.5: expected 0 \(off\) to 1"):
        Augmentation(flip=1.5)


def test_pictures_turn_about_their_centre() -> None:
    """Half a turn is both mirror images, exactly: half a pixel beside the centre would blur it."""
    pixels = jnp.asarray(np.random.default_rng(0).random((24, 40, 2)), jnp.float32)
    half_a_turn = jnp.asarray([[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]], jnp.float32)
    np.testing.assert_allclose(_sample(pixels, half_a_turn), pixels[::-1, ::-1], atol=1e-6)


@functools.partial(jax.jit, static_argnames="settings")
def by_lines(pixels: jax.Array, matrices: jax.Array, settings: Augmentation) -> jax.Array:
    return jax.vmap(functools.partial(sample_by_lines, settings=settings))(pixels, matrices)


BY_NEIGHBOURS = jax.jit(jax.vmap(_sample))


def matrices(settings: Augmentation) -> jax.Array:
    return jax.vmap(lambda key: _draw_affine(key, (SIDE, SIDE), settings))(keys())


def pairs() -> jax.Array:
    """Pictures of two values a pixel, in [0, 1]."""
    return jnp.concatenate([mask_to_float(pictures(seed=seed)) for seed in (0, 1)], axis=-1)


def test_lines_give_the_numbers_of_neighbours_where_nothing_turns() -> None:
    settings = only(flip=0.5, scale=0.2, translate=0.1)
    transforms = matrices(settings)
    np.testing.assert_allclose(
        by_lines(pairs(), transforms, settings),
        BY_NEIGHBOURS(pairs(), transforms),
        rtol=0,
        atol=2e-5,
    )


def exact(settings: Augmentation) -> tuple[np.ndarray, np.ndarray]:
    """Drawn matrices, and smooth pictures of known formula at the places that they name."""
    transforms = np.asarray(matrices(settings), np.float64)
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    points = np.stack([y, x, np.ones_like(y)])
    places = np.einsum("bij,jhw->bihw", transforms, points)
    return transforms, waves(places[:, 0], places[:, 1])


def waves(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Values of [0, 1] that vary over some eight pixels and fade to 0 before the frame."""
    return (0.5 + 0.25 * np.sin(y / 1.3 + 1) + 0.25 * np.cos(x / 1.1)) * np.exp(
        -(((y**2 + x**2) / 450) ** 2)
    )


@pytest.mark.parametrize("degrees", [10.0, 45.0, 180.0])
def test_lines_are_as_near_the_truth_as_neighbours(degrees: float) -> None:
    """Both interpolate linearly, by other neighbours of a point: neither is the other's measure."""
    settings = Augmentation(rotation_degrees=degrees)
    drawn, truth = exact(settings)
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    pixels = jnp.asarray(np.tile(waves(y, x), (COUNT, 1, 1))[..., None], jnp.float32)
    points = jnp.asarray(drawn, jnp.float32)
    errors = {
        "lines": np.asarray(by_lines(pixels, points, settings))[..., 0] - truth,
        "neighbours": np.asarray(BY_NEIGHBOURS(pixels, points))[..., 0] - truth,
    }
    rms = {name: np.sqrt(np.mean(error**2)) for name, error in errors.items()}
    assert rms["lines"] < 1.3 * rms["neighbours"]
    assert rms["neighbours"] < 0.03


def test_no_pixel_is_gathered_on_a_tpu() -> None:
    images = jnp.zeros((2, 16, 16, 1), jnp.float32)
    run = jax.jit(functools.partial(augment, settings=Augmentation()))
    traced = run.trace(keys()[:2], images, images)
    gathers = {
        platform: "stablehlo.gather" in traced.lower(lowering_platforms=(platform,)).as_text()
        for platform in ("cpu", "cuda", "tpu")
    }
    assert gathers == {"cpu": True, "cuda": True, "tpu": False}
