"""The room's public names are functions, whatever was imported before."""

import mgajax.explanation
from mgajax.explanation import deep_lift


def test_public_names() -> None:
    for name in mgajax.explanation.__all__:
        assert callable(getattr(mgajax.explanation, name)), name
    assert mgajax.explanation.deeplift is deep_lift.deeplift
    assert not hasattr(mgajax.explanation, "deep_dream")
