"""Packaging; static metadata lives in pyproject.toml."""

from setuptools import find_namespace_packages, setup

# Folders of templates, which hold no Python, count as packages, too.
packages = find_namespace_packages(include=["mgajax*", "tfds_builders*"])

# `configs/` is shipped inside the package, where no other project's folder of that name meets it.
configs = [f"mgajax.configs.{name}" for name in find_namespace_packages("configs")]

setup(
    packages=[*packages, "mgajax.configs", *configs],
    package_dir={"mgajax.configs": "configs"},
)
