"""Messages of libraries: each kind once, counted, after the command."""

import logging
import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

LIBRARIES = ("pydicom", "nibabel", "PIL", "asyncio")
"""Libraries that write a line for each file that breaks its standard; and asyncio, hundreds of whose tasks
fail with a traceback each when a disk is full."""

VALUES = re.compile(r"""\d+|".*?"|'.*?'""")
"""Parts in which messages of one kind differ."""

MOST_KINDS = 5


class MessageCounter(logging.Handler):
    """Counts messages by kind; those that differ only in numbers and quoted values are of one kind."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Count a message."""
        library = record.name.partition(".")[0]
        message = " ".join(record.getMessage().split())
        kind = f"{library}: {VALUES.sub('*', message)}"
        self._counts[kind] += 1
        self._first.setdefault(kind, f"{library}: {message}")

    def lines(self) -> list[str]:
        """A line a kind, the most frequent first."""
        lines = [
            f"{self._first[kind]}" + (f" (and {count - 1} more of this kind)" if count > 1 else "")
            for kind, count in self._counts.most_common(MOST_KINDS)
        ]
        hidden = len(self._counts) - len(lines)
        return [*lines, f"and {hidden} other kinds; --debug shows all"] if hidden > 0 else lines


@contextmanager
def counted_messages() -> Iterator[MessageCounter]:
    """Count the messages of `LIBRARIES` while the context is open, instead of printing them.

    Failures of callbacks that nobody can catch are counted, too: a full disk makes hundreds of them in
    the threads that were writing to it.
    """
    counter = MessageCounter()
    for name in LIBRARIES:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [counter], False
    before = sys.unraisablehook

    def count_failure(failure: "sys.UnraisableHookArgs") -> None:
        if failure.object is None:
            logging.getLogger("asyncio").error("%r", failure.exc_value)
        else:
            before(failure)

    sys.unraisablehook = count_failure
    try:
        yield counter
    finally:
        sys.unraisablehook = before
