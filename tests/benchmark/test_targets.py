"""Devices that are not there: their names, and what is missing to compile for them."""

import importlib.util

import pytest

from mgajax.benchmark import targets
from mgajax.benchmark.chips import CHIPS
from mgajax.benchmark.targets import EXAMPLES, devices_of, gpu_description, parse_target
from mgajax.errors import ConfigError


@pytest.mark.parametrize(
    ("word", "platform", "count"),
    [
        ("v5e:1x1", "tpu", 1),
        ("v5e", "tpu", 1),
        ("v5e:8x8", "tpu", 64),
        ("v6e:2x4", "tpu", 8),
        ("h100:8", "cuda", 8),
        ("a100", "cuda", 1),
        ("cpu", "cpu", 1),
        ("cpu:4", "cpu", 4),
    ],
)
def test_names_of_targets(word: str, platform: str, count: int) -> None:
    target = parse_target(word)
    assert (target.platform, target.count) == (platform, count)


@pytest.mark.parametrize(
    "word", ["v5e:8", "v5e:0x1", "h100:2x2", "h100:eight", "cpu:-1", "v5e:2x2x2"]
)
def test_a_wrong_size_says_how_to_write_it(word: str) -> None:
    with pytest.raises(ConfigError, match=f"--target {word}: write {word.split(':')[0]}:"):
        parse_target(word)


def test_an_unknown_target_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="did you mean 'h100'") as raised:
        parse_target("h10:8")
    assert all(word in str(raised.value) for word in EXAMPLES)
    with pytest.raises(ConfigError, match=r"--target TPU v4:1: known: v5e:1x1"):
        parse_target("TPU v4:1")


@pytest.mark.parametrize(("word", "extra"), [("v5e:1x1", "aot-tpu"), ("h100:1", "aot-gpu")])
def test_a_missing_compiler_is_one_line_with_its_command(
    word: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TPU_LIBRARY_PATH", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=rf"pip install 'mgajax\[{extra}\]'"):
        devices_of(parse_target(word))


def test_a_slice_that_its_compiler_does_not_know_lists_the_known_targets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(target: targets.Target) -> None:
        raise ValueError("INVALID_ARGUMENT: no such slice")

    monkeypatch.setattr(targets, "_is_installed", lambda name: True)
    monkeypatch.setattr(targets, "_describe", refuse)
    with pytest.raises(ConfigError, match=r"--target v5e:3x5: .*no such slice; known: v5e:1x1"):
        devices_of(parse_target("v5e:3x5"))


def test_more_devices_than_the_process_has_are_refused() -> None:
    assert len(devices_of(parse_target("cpu:8"))) == 8
    with pytest.raises(ConfigError, match="--target cpu:9: JAX runs already with 8"):
        devices_of(parse_target("cpu:9"))


def test_every_target_has_what_prices_and_fits_need() -> None:
    for chip in CHIPS:
        if chip.target:
            assert chip.memory_bytes > 15e9
            assert chip.bandwidth > 8e11
            assert chip.peak("bfloat16") >= chip.peak("float32") > 1e14


def test_a_card_is_described_by_the_table() -> None:
    chip = parse_target("h100:1").chip
    assert chip is not None
    text = gpu_description(chip)
    for line in (
        "core_count: 132",
        "memory_bandwidth: 3352320000000",
        "l2_cache_size: 52428800",
        "shared_memory_per_core: 233472",
        "shared_memory_per_block_optin: 232448",
        "cuda_compute_capability { major: 9 minor: 0 }",
        'device_description_str: "NVIDIA H100 80GB HBM3"',
    ):
        assert line in text
    assert targets.compilers().keys() <= {"libtpu", "jax-cuda12-plugin", "jax-cuda13-plugin"}
