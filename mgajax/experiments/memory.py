"""Peak memory of this process."""

import contextlib
import resource
import sys
from pathlib import Path

STATUS, MARK = Path("/proc/self/status"), Path("/proc/self/clear_refs")
"""On Linux the first file holds the peak; writing to the second one resets it."""

BEGIN_ANEW = "5"


def forget_peak() -> None:
    """Reset the peak to the present memory; no effect on systems that cannot do that."""
    with contextlib.suppress(OSError):
        MARK.write_text(BEGIN_ANEW)


def peak_memory() -> int:
    """Peak resident memory of this program alone, in bytes.

    `getrusage`, which every Unix has, also includes the peak of the process that started this one. So
    on Linux the kernel's own figure comes first.
    """
    with contextlib.suppress(OSError):
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else 1024 * largest
