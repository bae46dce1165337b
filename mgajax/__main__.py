"""`python -m mgajax` is `mgajax`."""

import sys

from mgajax.cli import main

sys.exit(main())
