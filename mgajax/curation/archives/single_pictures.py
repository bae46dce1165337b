"""Archives of single pictures that are already rendered: Zhao's and Cohen's."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mgajax.curation.archives.archive import RawSlice, ReadOptions
from mgajax.curation.archives.packed import SourceFile
from mgajax.curation.findings import Finding, Findings
from mgajax.errors import DataError
from mgajax.imaging.pictures import as_png, decode_picture
from mgajax.schema import COVID


@dataclass(frozen=True)
class PictureSet:
    """The properties of all pictures of an archive.

    Attributes:
      source: one of `SOURCES`.
      reason: for taking them.
      published: how the published set has the file: "as it is", or "as PNG", saved as such in its own
        colours if it was none.
    """

    source: str
    reason: str
    published: Literal["as it is", "as PNG"]


@dataclass(frozen=True)
class SinglePicture:
    """A picture of a COVID patient: its file, and its name in the published set."""

    file: SourceFile
    file_name: str
    patient_id: str
    metadata: Mapping[str, str]


def read_pictures(
    archive: PictureSet, pictures: Sequence[SinglePicture], options: ReadOptions, findings: Findings
) -> Iterator[RawSlice]:
    """The wanted pictures, in their order; see `archive.Unit`."""
    for picture_file in pictures:
        verdict = options.verdict(picture_file.file_name, True, archive.reason)
        if verdict.is_taken is False:
            continue
        try:
            content = picture_file.file.read()
            picture = decode_picture(content, name=picture_file.file.origin)
        except DataError as error:
            findings.note(Finding.DAMAGED_SOURCE, str(error))
            continue
        must_change = archive.published == "as PNG" and picture.kind != "PNG"
        yield RawSlice(
            source=archive.source,
            label=COVID,
            file_name=picture_file.file_name,
            patient_id=picture_file.patient_id,
            origin=picture_file.file.origin,
            slice_index=None,
            values=picture.pixels,
            unit="grey",
            is_selected_by_source=verdict.is_taken,
            reason=verdict.reason,
            metadata=picture_file.metadata,
            published=as_png(content) if must_change else content,
        )
