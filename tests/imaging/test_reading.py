"""The guard around a file: one line for whatever goes wrong, and warnings held back while reading."""

import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from mgajax.errors import DataError
from mgajax.imaging.reading import content_of, guard


def read(action: Callable[[], object]) -> object:
    return guard(action, name="a.dcm", failure="no complete slice", fix="replace it")


def test_whatever_goes_wrong_is_one_line_that_names_the_file() -> None:
    def fail() -> None:
        raise KeyError("two\nlines, and long: " + 400 * "x")

    with pytest.raises(DataError) as caught:
        read(fail)
    message = str(caught.value)
    assert message.startswith("a.dcm: no complete slice (")
    assert message.endswith("); replace it")
    assert "\n" not in message
    assert len(message) < 260


def test_an_error_without_a_message_is_reported_by_its_kind() -> None:
    def fail() -> None:
        raise EOFError

    with pytest.raises(DataError, match=r"a\.dcm: no complete slice \(EOFError\); replace it"):
        read(fail)


def test_errors_that_say_it_themselves_pass() -> None:
    def fail() -> None:
        raise DataError("modality MR, expected CT")

    with pytest.raises(DataError, match="^modality MR, expected CT$"):
        read(fail)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent: cannot be read \(No such file"):
        content_of(tmp_path / "absent", name="absent")
    (tmp_path / "there").write_bytes(b"bytes")
    assert content_of(tmp_path / "there", name="there") == content_of(b"bytes", name="") == b"bytes"


def test_warnings_come_back_when_the_last_of_several_threads_has_read() -> None:
    """The first to begin ends first, while the other still reads."""
    before = list(warnings.filters)
    started, ended = threading.Event(), threading.Event()

    def slow() -> None:
        started.set()
        assert ended.wait(10)
        warnings.warn("of a decoder", stacklevel=1)

    def quick() -> None:
        thread.start()
        assert started.wait(10)

    thread = threading.Thread(target=lambda: read(slow))
    read(quick)
    ended.set()
    thread.join(10)
    assert list(warnings.filters) == before
    with pytest.warns(UserWarning, match="ours"):
        warnings.warn("ours", stacklevel=1)
