"""`mgajax doctor`: one line a thing, with the command that mends it."""

import tomllib
from importlib import metadata
from pathlib import Path

import jax
import pytest

from mgajax.cli import doctor, main

ROOT = Path(__file__).resolve().parent.parent

REQUIRES = {
    "mgajax": [
        "jax>=0.10",
        'pydicom>=3.0; extra == "predict"',
        'highdicom>=0.27; extra == "predict"',
        'mgajax[predict]; extra == "test"',
        'jax[tpu]>=0.10; extra == "aot-tpu"',
        'old>=1; python_version < "3" and extra == "predict"',
    ],
    "jax": ["numpy>=2", 'libtpu==0.0.4; extra == "tpu"'],
}
VERSIONS = {
    "mgajax": "0.2.0",
    "jax": "0.10.2",
    "jaxlib": "0.10.2",
    "flax": "0.12",
    "pydicom": "3.1",
}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The versions of a machine on which little is installed; a test changes them."""
    versions = dict(VERSIONS)

    def version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(metadata, "requires", lambda name: REQUIRES[name])
    monkeypatch.setattr(doctor, "EXTRAS", {"predict": "mgajax predict", "aot-tpu": "compile"})
    extras = {"Provides-Extra": ["predict", "test", "aot-tpu"]}
    monkeypatch.setattr(metadata, "metadata", lambda name: Extras(extras))
    monkeypatch.setattr(doctor, "_idle_extra", lambda: None)
    return versions


class Extras(dict):
    """The parts of a distribution's metadata that the command reads."""

    def get_all(self, key: str) -> list[str]:
        return self[key]


def names(extra: str) -> list[str]:
    return [requirement.name for requirement in doctor.requirements("mgajax", extra=extra)]


def test_an_extra_gives_its_own_requirements_and_those_of_extras_in_it(installed) -> None:
    assert names("") == ["jax"]
    assert names("predict") == ["pydicom", "highdicom"]
    assert names("test") == ["pydicom", "highdicom"]
    assert names("aot-tpu") == ["jax", "libtpu"]


def test_missing_parts_are_reported_with_the_fix(installed, capsys) -> None:
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (line,) = (line for line in lines if "mgajax predict" in line)
    assert line.startswith("missing")
    assert line.endswith("highdicom; pip install 'mgajax[predict]'")
    installed["highdicom"] = "0.28"
    main(["doctor"])
    assert "highdicom 0.28, pydicom 3.1" in capsys.readouterr().out


def test_a_package_that_is_too_old_is_broken(installed) -> None:
    installed["jax"] = "0.9.1"
    finding = next(item for item in doctor.examine() if item.subject == "mgajax")
    assert finding.state == "broken"
    assert finding.text == "jax 0.9.1 (needs >=0.10)"
    assert finding.fix == "pip install 'jax>=0.10'"


def test_an_extra_newer_than_the_installation_is_reported(installed, monkeypatch) -> None:
    monkeypatch.setattr(doctor, "EXTRAS", {"docs": "the site"})
    assert "the extra docs, which came after" in [item.text for item in doctor.examine()][-1]


def test_devices_that_do_not_start_are_broken(installed, monkeypatch) -> None:
    def none() -> None:
        raise RuntimeError("Unable to initialize backend 'cuda'\nand more")

    monkeypatch.setattr(jax, "local_devices", none)
    finding = next(item for item in doctor.examine() if item.subject == "devices")
    assert (finding.state, finding.text) == ("broken", "Unable to initialize backend 'cuda'")


@pytest.mark.parametrize(
    ("chosen", "fix"), [("", "pip install 'mgajax[gpu]'"), ("cpu", "unset JAX_PLATFORMS")]
)
def test_an_idle_accelerator_is_reported(installed, monkeypatch, chosen: str, fix: str) -> None:
    monkeypatch.setattr(doctor, "_idle_extra", lambda: "gpu")
    monkeypatch.setenv("JAX_PLATFORMS", chosen)
    finding = next(item for item in doctor.examine() if item.subject == "devices")
    assert finding.state == "missing"
    assert fix in finding.fix


def test_every_extra_is_listed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["optional-dependencies"]) == {*doctor.EXTRAS, *doctor.DEVICE_EXTRAS}
