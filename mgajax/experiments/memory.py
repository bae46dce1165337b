"""The most memory that this process had at once."""

import contextlib
import resource
import sys
from pathlib import Path

STATUS, MARK = Path("/proc/self/status"), Path("/proc/self/clear_refs")
"""Linux tells the peak in the first, and begins anew when told so in the second."""

BEGIN_ANEW = "5"


def forget_peak() -> None:
    """Let the peak begin at what the process has now; without effect where a system cannot do that."""
    with contextlib.suppress(OSError):
        MARK.write_text(BEGIN_ANEW)


def peak_memory() -> int:
    """Resident bytes at the peak, of this program alone.

    The usage that every Unix tells has, in a process that another one started, that one's peak too:
    so Linux is asked for its own figure first.
    """
    with contextlib.suppress(OSError):
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else 1024 * largest
