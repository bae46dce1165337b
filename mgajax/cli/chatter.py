"""What libraries say beside the work: each kind once, counted, after the command."""

import logging
import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

TALKERS = ("pydicom", "nibabel", "PIL", "asyncio")
"""Libraries that write a line for each file that is not as the standard demands; and Python's own
tasks, of which hundreds fail with a traceback each where one disk is full."""

VALUES = re.compile(r"""\d+|".*?"|'.*?'""")
"""What differs between messages of one kind."""

MOST_KINDS = 5


class Chatter(logging.Handler):
    """Counts what it is told by kind: messages that differ in numbers and quoted values are one."""

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
        rest = len(self._counts) - len(lines)
        return [*lines, f"and {rest} other kinds; --debug shows all"] if rest > 0 else lines


@contextmanager
def gathered_chatter() -> Iterator[Chatter]:
    """Count what those libraries say from here on, instead of letting them print it.

    While the context is open, so are failures of callbacks that nobody can catch: one disk that is
    full makes hundreds in the threads that were writing to it.
    """
    chatter = Chatter()
    for name in TALKERS:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [chatter], False
    before = sys.unraisablehook

    def counted(failure: "sys.UnraisableHookArgs") -> None:
        if failure.object is None:
            logging.getLogger("asyncio").error("%r", failure.exc_value)
        else:
            before(failure)

    sys.unraisablehook = counted
    try:
        yield chatter
    finally:
        sys.unraisablehook = before
