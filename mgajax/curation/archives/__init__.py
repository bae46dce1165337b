"""The seven public archives, one reader each.

A reader is a module with a function `find`; see `archive`. `READERS` knows them by source.
"""

from mgajax.curation.archives import afshar
from mgajax.curation.archives.archive import Find

READERS: dict[str, Find] = {"afshar": afshar.find}
"""Reader of each source, in the order in which a curation reads them."""
