"""Archives of single pictures that somebody has rendered before: Zhao's and Cohen's."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mgajax.curation.archives.archive import RawSlice, ReadOptions
from mgajax.curation.archives.packed import SourceFile
from mgajax.curation.report import Finding, Findings
from mgajax.errors import DataError
from mgajax.imaging.pictures import as_png, decode_picture
from mgajax.schema import COVID


@dataclass(frozen=True)
class PictureSet:
    """What holds for all pictures of an archive.

    Attributes:
      source: one of `SOURCES`.
      reason: why they are taken.
      published: what the published set made of a file: took it "as it is", or saved it "as PNG", in
        its own colours, where it was none.
    """

    source: str
    reason: str
    published: Literal["as it is", "as PNG"]


@dataclass(frozen=True)
class SinglePicture:
    """A picture of a COVID patient: its file, and what it is called in the published set."""

    file: SourceFile
    file_name: str
    patient_id: str
    metadata: Mapping[str, str]


def read_pictures(
    archive: PictureSet, pictures: Sequence[SinglePicture], options: ReadOptions, findings: Findings
) -> Iterator[RawSlice]:
    """The wanted pictures, in their order; see `archive.Unit`."""
    for one in pictures:
        verdict = options.verdict(one.file_name, True, archive.reason)
        if verdict.is_taken is False:
            continue
        try:
            content = one.file.read()
            picture = decode_picture(content, name=one.file.origin)
        except DataError as error:
            findings.note(Finding.DAMAGED_SOURCE, str(error))
            continue
        must_change = archive.published == "as PNG" and picture.kind != "PNG"
        yield RawSlice(
            source=archive.source,
            label=COVID,
            file_name=one.file_name,
            patient_id=one.patient_id,
            origin=one.file.origin,
            slice_index=None,
            values=picture.pixels,
            unit="grey",
            is_selected_by_source=verdict.is_taken,
            reason=verdict.reason,
            metadata=one.metadata,
            published=as_png(content) if must_change else content,
        )
