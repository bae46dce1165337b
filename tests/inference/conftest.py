"""A built data set that all tests of inference read."""

from pathlib import Path

import pytest
from drawn_runs import build


@pytest.fixture(scope="session")
def slices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`PartlyAnnotated` as a built data set."""
    return build(tmp_path_factory.mktemp("partly_annotated"))
