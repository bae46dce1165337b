"""Configurations: every shipped file, overrides, and mistakes."""

import itertools
from pathlib import Path

import pytest

from mgajax import config as configs
from mgajax import models
from mgajax.errors import ConfigError
from mgajax.training.settings import check_settings

FILES = sorted(
    str(path.relative_to(configs.ROOT))
    for path in (configs.ROOT / "configs").rglob("*.py")
    if path.name not in ("__init__.py", "common.py", "shared.py")
)
MGA = "configs/classification/mga_resnet18.py"


@pytest.mark.parametrize("file", FILES)
def test_every_shipped_file_loads_and_names_a_model(file: str) -> None:
    loaded = configs.load(file)
    for config in [loaded] if "task" in loaded else loaded.values():
        options = dict(config.model.options.items())
        models.create(config.model.name, num_classes=3, dtype=config.model.dtype, **options)
        config.data.dir = "somewhere"
        check_settings(config)


def test_the_paper_is_the_default() -> None:
    config = configs.load(MGA)
    assert (config.optimiser.learning_rate, config.optimiser.schedule) == (1e-4, "cosine")
    assert (config.batch_size, config.epochs, config.patience) == (32, 100, 10)
    assert (config.model.options.mga_stage, config.parallel) == (3, "pmap")


@pytest.mark.parametrize(
    "file", ["shared.py", "classification/common.py", "segmentation/common.py"]
)
def test_every_block_of_keys_has_a_comment(file: str) -> None:
    lines = Path(configs.ROOT, "configs", file).read_text().splitlines()
    lines = [line.strip() for line in lines if "ConfigDict()" not in line]
    for before, line in itertools.pairwise(lines):
        if line.startswith("config.") and "config.task" not in line:
            assert before.startswith(("#", "config.")), line


def test_overrides_keep_types() -> None:
    config = configs.load(
        MGA, overrides=["--config.batch_size=64", "--config.model.options.stages=(1,)"]
    )
    assert config.batch_size == 64
    assert config.model.options.stages == (1,)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("--config.batchsize=64", "did you mean 'batch_size'"),
        ("--config.batch_size=many", "batch_size"),
        ("--config.model.names=x", "did you mean 'model.name'"),
        ("--config.batch_size", "write --config.KEY=VALUE"),
    ],
)
def test_mistakes_are_told(override: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        configs.load(MGA, overrides=[override])


def test_an_absent_file_lists_the_shipped_ones() -> None:
    with pytest.raises(ConfigError, match="did you mean 'configs/classification/resnet18.py'"):
        configs.load("configs/classification/resnet81.py")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1\n", "expected a function get_config"),
        ("def get_config():\n    return {}['a']\n", "KeyError: 'a'; expected a function"),
        ("def get_config():\n    return {}\n", "gave dict, expected ConfigDict"),
        ("def get_config(:\n", "invalid syntax"),
        ("import absent_package\n", "absent_package"),
    ],
)
def test_a_file_that_gives_no_configuration_is_told(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(ConfigError, match=told):
        configs.load(tmp_path / "mine.py", overrides=[])


def test_a_damaged_record_of_a_run_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"config": {"seed"')
    with pytest.raises(ConfigError, match=r"config\.json: damaged"):
        configs.read(tmp_path / "config.json")


def test_written_and_read_back(tmp_path: Path) -> None:
    config = configs.load(MGA)
    configs.write(config, tmp_path / "config.json", extra={"split": "built"})
    again, extra = configs.read(tmp_path / "config.json")
    assert configs.flatten(again) == configs.flatten(config)
    assert extra["split"] == "built"
    assert {"jax", "git_commit", "mgajax"} <= extra["provenance"].keys()
    configs.assert_same_run(config, old=again, workdir=tmp_path)


def test_a_run_refuses_other_numbers_but_not_other_devices(tmp_path: Path) -> None:
    old = configs.load(MGA)
    same = configs.load(MGA, overrides=["--config.parallel=jit", "--config.devices=2"])
    configs.assert_same_run(same, old=old, workdir=tmp_path)
    other = configs.load("configs/classification/resnet18_cbam.py")
    with pytest.raises(ConfigError, match="holds a run with model.name='mga_resnet18', asked for"):
        configs.assert_same_run(other, old=old, workdir=tmp_path)


def test_only_keys_that_change_no_number_can_change_later() -> None:
    config = configs.load(MGA)
    assert configs.override_resumable(config, ["--config.devices=1"]).devices == 1
    with pytest.raises(ConfigError, match="seed cannot change here"):
        configs.override_resumable(config, ["--config.seed=1"])
    with pytest.raises(ConfigError, match="expected int"):
        configs.override_resumable(config, ["--config.devices=one"])
