"""What long work tells of itself where there is no terminal."""

import pytest

from mgajax import progress


@pytest.mark.parametrize(
    ("done", "total", "elapsed", "text"),
    [
        (0, 5, 3.0, ""),
        (2, None, 3.0, ""),
        (2, 6, 10.0, ", about 20 s left"),
        (1, 4, 200.0, ", about 10 min left"),
        (1, 5, 3600.0, ", about 4.0 h left"),
        (5, 5, 60.0, ", about 0 s left"),
    ],
)
def test_time_left(done: int, total: int | None, elapsed: float, text: str) -> None:
    assert progress.time_left(done=done, total=total, elapsed=elapsed) == text


def test_plain_lines_show_the_count_and_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter(range(0, 1000, 30))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    assert list(progress.track("abcd", description="reading")) == list("abcd")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "reading: 1/4, about 3 min left"
    assert lines[-1] == "reading: 3/4, about 40 s left"
