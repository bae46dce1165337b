"""What the tests of several processes share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of compiled programs that killed processes may leave in pieces."""
    return tmp_path_factory.mktemp("compiled")
