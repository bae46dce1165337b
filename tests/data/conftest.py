"""What the tests of data share."""

from collections.abc import Iterator

import pytest
from unchecked import unchecked as without_checks


@pytest.fixture
def unchecked() -> Iterator[None]:
    """For a test of full-sized columns."""
    with without_checks():
        yield
