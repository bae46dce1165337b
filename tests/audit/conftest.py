"""Drawn people, and audits of them that several tests look at."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from drawn_copies import Pictures, drawn_people, planted, write_pictures, write_split

from mgajax.audit import background_shortcut
from mgajax.audit.audit import IllustratedAudit, audit_folder


@pytest.fixture(autouse=True, scope="session")
def small_forest() -> Iterator[None]:
    """A few trees and folds tell as much on a few slices."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(background_shortcut, "TREES", 10)
        patch.setattr(background_shortcut, "FOLDS", 2)
        yield


@pytest.fixture(scope="session")
def people() -> Pictures:
    """Two slices each of sixteen people of all classes."""
    return drawn_people(patients=16, slices=2)


@pytest.fixture(scope="session")
def clean_copy(people: Pictures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The people as a downloaded copy. Tests must not change it."""
    return write_pictures(tmp_path_factory.mktemp("clean") / "copy", people)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fingerprints shared by the tests."""
    return tmp_path_factory.mktemp("fingerprints")


@pytest.fixture(scope="session")
def clean(clean_copy: Path, cache: Path) -> IllustratedAudit:
    """The audit of the clean copy."""
    return audit_folder(clean_copy, cache=cache)


@pytest.fixture(scope="session")
def bad(
    people: Pictures, tmp_path_factory: pytest.TempPathFactory, cache: Path
) -> tuple[IllustratedAudit, dict[str, frozenset[str]]]:
    """The audit of the copy with planted leaks, and the planted pairs."""
    pictures, pairs = planted(people)
    folder = tmp_path_factory.mktemp("bad")
    copy = write_pictures(folder / "copy", pictures)
    first = next(name for label, name in people if label == 1)
    test = {name for _, name in pictures if "900" in name} | {first}
    split = write_split(folder / "split.csv", pictures, test=test)
    return audit_folder(copy, split=split, cache=cache), pairs
