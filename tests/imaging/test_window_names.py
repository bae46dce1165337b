"""Windows by name and by numbers."""

import pytest

from mgajax.errors import ConfigError
from mgajax.imaging.windows import Window, find_window


def test_window_names() -> None:
    assert find_window("published") is None
    assert find_window("lung") == Window(-600.0, 1500.0)
    assert find_window("40/400") == Window(40.0, 400.0)
    for wrong in ("lungs", "40/-3", "40", "a/b", "nan/1"):
        with pytest.raises(ConfigError, match=r"window .*CENTRE/WIDTH"):
            find_window(wrong)
