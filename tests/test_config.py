"""Configurations: every shipped file, overrides, and mistakes."""

import dataclasses
import itertools
import json
import re
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from mgajax import config as configs
from mgajax import models
from mgajax.config import schema
from mgajax.data.augmentation import Augmentation
from mgajax.data.preparation import Preparation
from mgajax.errors import ConfigError
from mgajax.training.config_checks import check_settings

FILES = configs.shipped_names()
MGA = "configs/classification/mga_resnet18.py"
BEGIN = """from mgajax.config import classification

def get_config():
    config = classification("resnet18")
"""


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


def test_every_block_of_keys_has_a_comment() -> None:
    lines = [line.strip() for line in Path(schema.__file__).read_text().splitlines()]
    keys = [line for line in lines if re.match(r"[a-z_]+: [\w\[\], .]+( = .*)?$", line)]
    assert len(keys) > 60
    for before, line in itertools.pairwise(lines):
        if line in keys and not line.startswith(("task:", "loss:")):
            assert before.startswith("#") or before in keys, line


def test_the_schemas_sections_are_those_of_the_rooms_that_read_them() -> None:
    config = configs.classification("mga_resnet18")
    names = {field.name for field in dataclasses.fields(Augmentation)}
    assert set(config.augmentation) == names
    defaults = dataclasses.asdict(Preparation())
    assert {key: defaults[key] for key in config.preparation} == config.preparation.to_dict()


@pytest.mark.parametrize("network", [*schema.CLASSIFIERS, *schema.SEGMENTERS])
def test_a_networks_options_have_the_defaults_of_the_network(network: str) -> None:
    options = dataclasses.asdict({**schema.CLASSIFIERS, **schema.SEGMENTERS}[network])
    defaults = models.options(network)
    assert options == {key: defaults[key] for key in options}


def test_every_network_has_a_line() -> None:
    assert {*schema.CLASSIFIERS, *schema.SEGMENTERS} == set(models.names())
    with pytest.raises(ConfigError, match="did you mean 'resnet18'"):
        configs.classification("resnet81")


def test_overrides_keep_types() -> None:
    config = configs.load(
        MGA, overrides=["--config.batch_size=64", "--config.model.options.stages=(1,)"]
    )
    assert config.batch_size == 64
    assert config.model.options.stages == (1,)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("--config.batchsize=64", "did you mean 'batch_size'"),
        ("--config.batch_size=many", "batch_size"),
        ("--config.model.names=x", "did you mean 'model.name'"),
        ("--config.batch_size", "write --config.KEY=VALUE"),
    ],
)
def test_mistakes_are_reported(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configs.load(MGA, overrides=[override])


def test_a_missing_key_is_reported() -> None:
    config = configs.classification("resnet18")
    del config.augmentation["flip"]
    with pytest.raises(
        ConfigError, match=r"augmentation\.flip is missing .*classification\(NETWORK"
    ):
        check_settings(config)


def test_a_strangers_folder_of_that_name_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "configs" / "classification").mkdir(parents=True)
    for name in ("__init__.py", "quickstart.py", "classification/__init__.py"):
        (tmp_path / "configs" / name).write_text("raise RuntimeError('a stranger')\n")
    monkeypatch.chdir(tmp_path)
    assert configs.load(MGA).model.name == "mga_resnet18"
    assert "segmentation" in configs.load(configs.shipped_file("configs/quickstart.py"))
    with pytest.raises(ConfigError, match="a stranger"):
        configs.load("configs/quickstart.py")  # asked for by path: the user's own comes first


@pytest.mark.parametrize("name", ["configs/absent.py", "elsewhere/quickstart.py", "/etc/hosts"])
def test_only_shipped_files_are_shipped(name: str) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        configs.shipped_file(name)


def test_an_absent_file_lists_the_shipped_ones() -> None:
    with pytest.raises(ConfigError, match="did you mean 'configs/classification/resnet18.py'"):
        configs.load("configs/classification/resnet81.py")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "expected a function get_config"),
        ("def get_config():\n    return {}['a']\n", "KeyError: 'a'; expected a function"),
        ("def get_config():\n    return {}\n", "gave dict, expected ConfigDict"),
        ("def get_config(:\n", "invalid syntax"),
        ("import absent_package\n", "absent_package"),
        (
            f"{BEGIN}    config.batchsize = 4\n    return config\n",
            "unknown key batchsize=4; did you",
        ),
        (f"{BEGIN}    config.optimiser.rate = 4.0\n    return config\n", "key optimiser.rate=4.0"),
    ],
)
def test_a_file_without_a_configuration_is_reported(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(ConfigError, match=message):
        configs.load(tmp_path / "mine.py", overrides=[])


WHOLE = configs.classification("mga_resnet18").to_dict()


def changed(**keys: object) -> str:
    return json.dumps({"config": WHOLE | keys})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "damaged"),
        ('{"config": {"seed"', "damaged"),
        ("[]", "damaged .*'config'"),
        ('{"provenance": {}}', "damaged .*'config'"),
        ('{"config": {"seed": 0}}', "damaged .*'task'"),
        (changed(task="detection"), "task='detection': valid: classification, segmentation"),
        (changed(batchsize=4), "unknown key batchsize=4; did you mean 'batch_size'"),
        (changed(model=WHOLE["model"] | {"kind": "x"}), "unknown key model.kind='x'"),
        (changed(model=3), "unknown key model=3"),
        (changed(batch_size="many"), "batch_size='many': expected int"),
        (changed(batch_size=True), "batch_size=True: expected int"),
        (changed(augmentation={"flip": float("nan")}), "augmentation.flip=nan: expected a finite"),
    ],
)
def test_an_unusable_record_of_a_run_is_reported(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=rf"config\.json: .*{message}"):
        configs.read(tmp_path / "config.json")


def test_a_run_from_before_a_key_has_its_default(tmp_path: Path) -> None:
    config, file = configs.load(MGA), tmp_path / "config.json"
    configs.write(config, file, extra={})
    content = json.loads(file.read_text())
    del content["config"]["init_from"], content["config"]["augmentation"]["noise"]
    del content["config"]["model"]["options"]["flavour"]
    file.write_text(json.dumps(content))
    before = ConfigDict(content["config"])
    again, _ = configs.read(file)
    assert configs.flatten(again) == configs.flatten(config)
    configs.assert_same_run(config, old=again, workdir=tmp_path)
    digest = configs.numbers_digest(before, workdir=tmp_path / "nowhere")
    assert configs.numbers_digest(again, workdir=tmp_path) == digest, "its checkpoints still fit"


def test_a_number_that_json_lacks_is_refused(tmp_path: Path) -> None:
    config = configs.load(MGA)
    config.augmentation.flip = float("inf")
    with pytest.raises(ConfigError, match=r"augmentation\.flip=inf: expected a finite number"):
        configs.write(config, tmp_path / "config.json", extra={})
    assert not list(tmp_path.iterdir())


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


def test_a_later_key_decides_nothing_until_it_is_set(tmp_path: Path) -> None:
    old = configs.load(MGA)
    assert "data.sampling" not in configs.deciding_keys(old), "so earlier runs keep their names"
    other = configs.load(MGA, overrides=["--config.data.sampling=sources"])
    assert configs.deciding_keys(other)["data.sampling"] == "sources"
    expected = r"a run with data\.sampling='slices', asked for 'sources'"
    with pytest.raises(ConfigError, match=expected):
        configs.assert_same_run(other, old=old, workdir=tmp_path)


def test_only_keys_that_change_no_number_can_change_later() -> None:
    config = configs.load(MGA)
    assert configs.override_resumable(config, ["--config.devices=1"]).devices == 1
    with pytest.raises(ConfigError, match="seed cannot change here"):
        configs.override_resumable(config, ["--config.seed=1"])
    with pytest.raises(ConfigError, match="expected int"):
        configs.override_resumable(config, ["--config.devices=one"])
