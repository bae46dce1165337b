"""The data schema that every room shares: class names, sources, mask origins, split names.

A leaf: it imports nothing of ours. The order of each tuple is the integer code used on disk.
"""

CLASS_NAMES: tuple[str, ...] = ("Normal", "COVID-19", "CAP")
"""Labels 0, 1, 2 (folder prefix of the curated set minus one)."""

NORMAL: int = CLASS_NAMES.index("Normal")
COVID: int = CLASS_NAMES.index("COVID-19")
"""The positive class of the paper's binary (COVID-vs-rest) metrics."""

SOURCES: tuple[str, ...] = (
    "zhao",
    "afshar",
    "cohen",
    "morozov",
    "rahimzadeh",
    "jun",
    "medseg",
)
"""The seven public archives of the curated set (paper, Table 1)."""

ONE_PERSON: str = "all"
"""The patient id, after the source, of all slices of a source whose people nothing tells apart."""

MASK_ORIGINS: tuple[str, ...] = ("none", "annotated", "predicted")
"""Where a slice's lesion mask came from; `none` means that nobody has looked for lesions."""

SPLITS: tuple[str, ...] = ("train", "validation", "test")
"""Split names, in the order in which a built data set is read."""

DATA_SETS: tuple[str, ...] = ("covid_ct_slices", "covid_ct_lesions", "ct_phantom")
"""The data sets that `mgajax build` makes."""
