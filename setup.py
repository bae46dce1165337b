"""Packaging; static metadata lives in pyproject.toml."""

from setuptools import find_namespace_packages, find_packages, setup

# `configs/` is shipped inside the package, where no other project's folder of that name meets it.
configs = ["mgajax.configs"]
configs += [f"mgajax.configs.{name}" for name in find_namespace_packages("configs")]

setup(
    packages=[*find_packages(include=["mgajax*", "tfds_builders*"]), *configs],
    package_dir={"mgajax.configs": "configs"},
)
