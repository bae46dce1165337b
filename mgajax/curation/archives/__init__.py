"""The seven public archives, one reader each.

A reader is a module with a function `find`; see `archive`. `READERS` knows them by source.
"""

from mgajax.curation.archives import afshar, cohen, jun, medseg, morozov, rahimzadeh, zhao
from mgajax.curation.archives.archive import UnitFinder

READERS: dict[str, UnitFinder] = {
    "zhao": zhao.find,
    "afshar": afshar.find,
    "cohen": cohen.find,
    "morozov": morozov.find,
    "rahimzadeh": rahimzadeh.find,
    "jun": jun.find,
    "medseg": medseg.find,
}
"""Reader of each source, in the order in which a curation reads them."""
