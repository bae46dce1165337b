"""Findings in an input, wrong, odd or notable: counted, with examples, and fatal above a share."""

import enum
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mgajax.errors import DataError

MAX_EXAMPLES = 5


class Finding(enum.Enum):
    """A kind of finding: slug, meaning, and whether it is damage, which counts towards the limit."""

    ROW_WITHOUT_FILE = ("row_without_file", "table rows whose picture is not on disk", True)
    FILE_WITHOUT_ROW = ("file_without_row", "pictures without a table row", True)
    UNDECODABLE = ("undecodable_image", "pictures that cannot be decoded; left out", True)
    NO_PATIENT = ("unknown_patient", "pictures of unknown people; left out", True)
    NO_SOURCE = ("unknown_source", "pictures of no known archive; left out", True)
    CLASS_CONFLICT = ("class_conflict", "folder contradicts the table; folder taken", True)
    NAME_TWICE = (
        "name_found_twice",
        "names found twice; only the copy that fits the table kept",
        True,
    )
    PAIR_TWICE = ("pair_found_twice", "pairs with two frames or masks; only the first kept", True)
    ROWS_CONFLICT = ("conflicting_rows", "rows of one name disagree on the patient; left out", True)
    ID_CONFLICT = (
        "patient_conflict",
        "patient id of the row differs from the file name's; row taken",
        True,
    )
    MASK_UNDECODABLE = ("undecodable_mask", "masks that cannot be decoded; dropped", True)
    MASK_SIZE = ("mask_size_mismatch", "masks of another size than their picture; dropped", True)
    MASK_VALUES = (
        "unexpected_mask_values",
        "masks with values that no mask has (a photograph?); dropped",
        True,
    )
    FRAME_WITHOUT_MASK = ("frame_without_mask", "frames without a mask; left out", True)
    MASK_WITHOUT_FRAME = ("mask_without_frame", "masks without a frame; left out", True)
    MASK_WITHOUT_VOLUME = (
        "mask_without_volume",
        "mask volumes whose CT volume is not there; left out",
        True,
    )
    DAMAGED_SOURCE = ("damaged_source_file", "source files that cannot be read; left out", True)
    REFUSED_ARCHIVE = ("refused_archive", "zips that are damaged or unsafe; left out", True)
    LISTED_NOT_FOUND = ("listed_not_found", "files that a table names and that are missing", True)
    NO_LABEL_ROW = ("no_label_row", "volumes without the label row they should have", True)
    SERIES_WITH_GAPS = (
        "series_with_gaps",
        "series with missing files; the numbers in their names may not be the published ones",
        False,
    )
    NO_TABLE_ROW = ("no_table_row", "source pictures that their table does not list", False)
    OTHER_LABELS = ("other_labels", "label files used since the wanted release is missing", False)
    NO_SLICE = ("no_slice_taken", "volumes and folders of which no slice was taken", False)
    NOT_TAKEN = ("not_taken", "source files that the published set leaves out", False)
    REPEATED_SCAN = ("repeated_scan", "scans that another archive holds too; left out", False)
    RENAMED = ("renamed_file", "rows matched to a file of another spelling", False)
    PATIENT_FROM_NAME = (
        "patient_from_name",
        "empty patient ids filled in from the file name",
        False,
    )
    NO_CLASS = ("no_slice_of_class", "classes of which the set holds nothing", False)
    NO_TABLE = ("no_table", "no classification table; country, age and sex are unknown", False)
    FRAME_WITHOUT_ROW = ("frame_without_row", "frames that the table does not list", False)
    ROW_WITHOUT_FRAME = (
        "row_without_frame",
        "table rows of the annotated slices whose frame is not on disk",
        False,
    )
    PEOPLE_POOLED = (
        "people_counted_as_one",
        "frames counted as one person's, since the table does not name the people of all",
        False,
    )
    MERGED_COPY = ("merged_copy", "second copies of a picture, same patient; left out", False)
    SAME_PICTURE = ("second_copy", "second copies of a picture, same patient; kept", False)
    SAME_PICTURE_OTHER = (
        "same_picture_two_patients",
        "a picture under two patients; kept, may leak",
        False,
    )
    NOT_PNG = ("not_png_inside", "pictures called .png that hold another format", False)
    COLOUR_MODE = (
        "not_grey_mode",
        "pictures stored as RGB, RGBA or palette; turned to luma",
        False,
    )
    COLOURED = ("coloured", "pictures with truly coloured pixels", False)
    SIXTEEN_BIT = ("more_than_8_bit", "pictures of more than 8 bits; stretched min..max", False)
    BLANK = ("blank", "pictures of one single value", False)
    UPSIDE_DOWN = ("upside_down", "slices stored upside down (by name); kept and flagged", False)
    MASK_WITHOUT_SLICE = ("mask_without_slice", "masks whose slice is not in the set", False)
    NO_MASK = ("no_mask", "slices with neither an annotated nor a predicted mask", False)
    MASK_EMPTY = ("empty_mask", "masks without any lesion pixel", False)
    MASK_ON_NORMAL = ("lesion_on_normal", "lesion masks of slices labelled Normal", False)
    IGNORED = ("ignored_entry", "entries that are no pictures (hidden files, folders)", False)

    def __init__(self, slug: str, meaning: str, is_damage: bool) -> None:
        self.slug = slug
        self.meaning = meaning
        self.is_damage = is_damage


class Findings:
    """Collects findings by kind; a name counts once for each kind."""

    def __init__(self) -> None:
        self._names: defaultdict[Finding, dict[str, None]] = defaultdict(dict)

    def note(self, finding: Finding, name: str) -> None:
        """Record that `finding` holds for the file, row or entry called `name`."""
        self._names[finding][name] = None

    def names(self, finding: Finding) -> tuple[str, ...]:
        """All names recorded for `finding`, in order."""
        return tuple(self._names[finding])

    def damaged(self) -> set[str]:
        """Names with at least one finding that counts as damage."""
        return {name for kind, names in self._names.items() if kind.is_damage for name in names}

    def summarise(self) -> Iterator["FindingSummary"]:
        """A summary of each kind that occurred, in the order of `Finding`."""
        for kind in Finding:
            names = list(self._names.get(kind, ()))
            if names:
                yield FindingSummary(
                    kind=kind, count=len(names), examples=tuple(sorted(names)[:MAX_EXAMPLES])
                )


@dataclass(frozen=True)
class FindingSummary:
    """How often one kind of finding occurred, with up to `MAX_EXAMPLES` names."""

    kind: Finding
    count: int
    examples: tuple[str, ...]


def joined_summaries(several: Iterable[Iterable[FindingSummary]]) -> tuple[FindingSummary, ...]:
    """The findings of several inputs as of one, in the order of `Finding`."""
    summaries = [summary for of_input in several for summary in of_input]
    by_kind = {kind: [summary for summary in summaries if summary.kind is kind] for kind in Finding}
    return tuple(
        FindingSummary(
            kind=kind,
            count=sum(summary.count for summary in same),
            examples=tuple(
                sorted(name for summary in same for name in summary.examples)[:MAX_EXAMPLES]
            ),
        )
        for kind, same in by_kind.items()
        if same
    )


@dataclass(frozen=True)
class BuildReport:
    """The content of an input, what of it can be used, and the findings.

    Attributes:
      rows, files, slices: table rows, pictures on disk, slices that can be used.
      patients: distinct people among the slices.
      masked, predicted: slices with an annotated lesion mask, and with a predicted one.
      by_group: slices by `"<class>/<source>"`.
      findings: in the order of `Finding`.
      damage_share: names with damage over all names (rows and files together).
      max_damage_share: the share above which the input is refused.
      masks_made_by: what made the predicted masks, if known.
    """

    rows: int
    files: int
    slices: int
    patients: int
    masked: int
    predicted: int
    by_group: dict[str, int]
    findings: tuple[FindingSummary, ...]
    damage_share: float
    max_damage_share: float
    masks_made_by: Mapping[str, Any]

    def count(self, finding: Finding) -> int:
        """The number of names with this finding."""
        return sum(summary.count for summary in self.findings if summary.kind is finding)

    def check(self, *, where: str) -> None:
        """Refuse an input too damaged to trust.

        Raises:
          DataError: when `damage_share` exceeds `max_damage_share`; it states counts, share, limit
            and the way out.
        """
        if self.damage_share <= self.max_damage_share:
            return
        kinds = [f for f in self.findings if f.kind.is_damage]
        counts = "; ".join(f"{f.kind.meaning}: {f.count} (e.g. {f.examples[0]})" for f in kinds)
        raise DataError(
            f"{where}: {self.damage_share:.1%} of the names are damaged or unmatched, more than the "
            f"limit of {self.max_damage_share:.1%}: {counts}. Repair or download these again, or "
            "build with the builder config 'partial', which has no limit"
        )

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON types."""
        return {
            "rows": self.rows,
            "files": self.files,
            "slices": self.slices,
            "patients": self.patients,
            "masked": self.masked,
            "predicted": self.predicted,
            "by_group": dict(self.by_group),
            "findings": findings_json(self.findings),
            "damage_share": self.damage_share,
            "max_damage_share": self.max_damage_share,
            "masks_made_by": dict(self.masks_made_by),
        }


def findings_json(findings: Iterable[FindingSummary]) -> dict[str, Any]:
    """Summaries by slug, as plain JSON types."""
    return {
        f.kind.slug: {
            "count": f.count,
            "damage": f.kind.is_damage,
            "meaning": f.kind.meaning,
            "examples": list(f.examples),
        }
        for f in findings
    }


def count_groups(groups: Iterable[str]) -> dict[str, int]:
    """Counts of `groups`, sorted by name."""
    return dict(sorted(Counter(groups).items()))
