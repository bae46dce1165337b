"""What messages are made of."""

import pytest

from mgajax.errors import quantity


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [(1, "slice", "1 slice"), (0, "slice", "0 slices"), (2, "series", "2 series")],
)
def test_a_noun_has_the_form_of_its_number(number: int, noun: str, text: str) -> None:
    assert quantity(number, noun) == text
    assert quantity(1234, noun).startswith("1,234 s")
