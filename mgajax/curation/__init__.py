"""From downloads to slices: reading, matching, verifying and reporting; nothing here trains."""

import sys

sys.modules.setdefault("dl", None)  # type: ignore[arg-type]
# GDCM, which decodes DICOM, looks for the module `dl` of Python 2 and trips over any folder so called.
