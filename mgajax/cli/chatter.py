"""What libraries say beside the work: each kind once, counted, after the command."""

import logging
import re
from collections import Counter

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


def gather_chatter() -> Chatter:
    """From here to the end of the process count what those libraries say, and do not print it."""
    chatter = Chatter()
    for name in TALKERS:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [chatter], False
    return chatter
