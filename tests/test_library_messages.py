"""Libraries' warnings are counted by kind, not printed file by file."""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from mgajax.cli import main
from mgajax.cli.library_messages import LIBRARIES, MOST_KINDS, counted_messages


@pytest.fixture(autouse=True)
def loggers_as_before() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in LIBRARIES]
    before = [(logger.handlers, logger.propagate) for logger in loggers]
    yield
    for logger, (handlers, propagate) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate


def test_each_kind_is_reported_once_and_counted() -> None:
    with counted_messages() as counter:
        for number in range(300):
            logging.getLogger("pydicom").warning("The value length (%d) exceeds 64", 65 + number)
        logging.getLogger("nibabel.global").error("data code %d not supported", 0)
        logging.getLogger("pydicom").info("not a warning")
    assert counter.lines() == [
        "pydicom: The value length (65) exceeds 64 (and 299 more of this kind)",
        "nibabel: data code 0 not supported",
    ]


def test_failures_that_cannot_be_caught_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    passed_on: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", passed_on.append)
    error = RuntimeError("Event loop is closed")
    nameless = SimpleNamespace(object=None, exc_value=error)
    of_an_object = SimpleNamespace(object=len, exc_value=error)
    with counted_messages() as counter:
        for _ in range(200):
            sys.unraisablehook(nameless)  # type: ignore[arg-type]
        sys.unraisablehook(of_an_object)  # type: ignore[arg-type]
    assert counter.lines() == [
        "asyncio: RuntimeError('Event loop is closed') (and 199 more of this kind)"
    ]
    assert passed_on == [of_an_object]


def test_many_kinds_are_cut_off() -> None:
    with counted_messages() as counter:
        for word in "abcdefgh":
            logging.getLogger("PIL").warning("kind %s", word)
    assert len(counter.lines()) == MOST_KINDS + 1
    assert counter.lines()[-1] == "and 3 other kinds; --debug shows all"


def test_a_command_tells_them_at_its_end(tmp_path: Path, capsys, monkeypatch) -> None:
    def noisy(*_: object, **__: object) -> None:
        for number in range(2):
            logging.getLogger("pydicom").warning("odd value %d", number)
        raise FileNotFoundError(2, "No such file", "x.dcm")

    monkeypatch.setattr("mgajax.evaluation.other_set.evaluate_data", noisy)
    assert main(["evaluate", "--workdir", str(tmp_path)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "mgajax evaluate: x.dcm: No such file",
        "noted by pydicom: odd value 0 (and 1 more of this kind)",
    ]
