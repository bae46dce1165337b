"""Files of a download, unpacked or still in their zips, through one interface.

Nothing is unpacked to disk: members are read in memory. A zip with a path outside its own folder is
refused as a whole, since unpacking it by other means would be harmful.
"""

import functools
import os
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mgajax.curation.findings import Finding, Findings
from mgajax.errors import DataError
from mgajax.folders import is_clutter, walk

MAX_MEMBER_BYTES = 1 << 30
"""No file of the seven archives is larger; a zip that states more is refused."""

_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    KeyError,
    RuntimeError,
    NotImplementedError,
)


@dataclass(frozen=True, order=True)
class SourceFile:
    """A file of the download.

    Attributes:
      place: path below the raw folder; for a member of a zip, as if the zip were unpacked beside
        itself, see `list_files`.
      path: the file on disk, or the zip that holds it.
      member: its name in the zip; '' for a plain file.
      archive: path of that zip below the raw folder; '' for a plain file.
      version: changes with the file: size and time of change, or the zip's checksum of it.
    """

    place: PurePosixPath
    path: Path
    member: str = ""
    archive: str = ""
    version: str = ""

    @property
    def name(self) -> str:
        """Its file name."""
        return self.place.name

    @property
    def origin(self) -> str:
        """`place` for a plain file, `.../archive.zip!member` for a zip's."""
        return f"{self.archive}!{self.member}" if self.member else str(self.place)

    def read(self) -> bytes:
        """Its content.

        Raises:
          DataError: the file cannot be read; the zip's member is damaged, or larger than
            `MAX_MEMBER_BYTES`.
        """
        if not self.member:
            try:
                return self.path.read_bytes()
            except OSError as error:
                raise DataError(f"{self.origin}: cannot be read ({error.strerror})") from error
        try:
            archive = _open_zip(self.path, os.getpid(), self.path.stat().st_mtime_ns)
            if archive.getinfo(self.member).file_size > MAX_MEMBER_BYTES:
                raise DataError(f"{self.origin}: larger than 1 GiB; this is no file of the archive")
            return archive.read(self.member)
        except _ZIP_ERRORS as error:
            raise DataError(
                f"{self.origin}: damaged in its zip ({error}); download it again"
            ) from error


def list_files(raw: Path, *, findings: Findings) -> list[SourceFile]:
    """Every file below `raw`, those inside of zips included, ordered by place.

    A zip is treated as desktops unpack it: beside itself, and into a folder of its own name where it
    holds files without a folder (the four zips of Jun's archive hold files of the same names). A file
    that is there both packed and unpacked is listed once, unpacked. Linked folders are followed, and
    files that desktops leave in folders and zips are ignored. A zip that is damaged, or has a path
    outside of it, is noted in `findings` and left out.

    Raises:
      DataError: `raw` is no folder.
    """
    if not raw.is_dir():
        raise DataError(
            f"{raw}: no such folder; pass the folder that holds the downloaded archives"
        )
    files: dict[PurePosixPath, SourceFile] = {}
    zips = []

    def note_refusal(error: OSError) -> None:
        findings.note(
            Finding.DAMAGED_SOURCE, f"{error.filename}: cannot be read ({error.strerror})"
        )

    for path in walk(raw, refused=note_refusal):
        place = PurePosixPath(path.relative_to(raw).as_posix())
        if not path.is_file():
            continue
        if path.suffix.lower() == ".zip":
            zips.append((place, path))
        else:
            status = path.stat()
            version = f"{status.st_size}@{status.st_mtime_ns}"
            files[place] = SourceFile(place, path, version=version)
    for place, path in zips:
        try:
            members = zip_members(path)
        except DataError as error:
            findings.note(Finding.REFUSED_ARCHIVE, str(error))
            continue
        parts = {member: _safe_parts(member) for member in members}
        is_flat = any(
            len(path_parts) == 1 and not _is_clutter(PurePosixPath(*path_parts))
            for path_parts in parts.values()
        )
        folder = place.with_suffix("") if is_flat else place.parent
        for member, checksum in members.items():
            member_place = folder.joinpath(*parts[member])
            if not _is_clutter(member_place):
                file = SourceFile(member_place, path, member, str(place), version=f"{checksum:08x}")
                files.setdefault(member_place, file)
    return sorted(files.values())


def zip_members(path: Path) -> dict[str, int]:
    """The names of the files in a zip, each with its CRC-32.

    Raises:
      DataError: it is damaged, or a name is absolute or leads out of the archive's folder.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {i.filename: i.CRC for i in archive.infolist() if not i.is_dir()}
    except _ZIP_ERRORS as error:
        raise DataError(f"{path}: a damaged zip ({error}); download it again") from error
    for name in members:
        if not _safe_parts(name):
            raise DataError(
                f"{path}: refused, its member {name!r} lies outside the archive's folder; "
                "download it again from its publisher, and do not unpack this one"
            )
    return members


def find_named(files: Iterable[SourceFile], *names: str) -> list[SourceFile]:
    """The files called one of `names`, case ignored."""
    folded = {name.casefold() for name in names}
    return [file for file in files if file.name.casefold() in folded]


def _safe_parts(member: str) -> tuple[str, ...]:
    """The parts of a member's path, or () if it is absolute or leads out of the folder."""
    name = member.replace("\\", "/")
    path = PurePosixPath(name)
    drive = len(name) > 1 and name[1] == ":"
    return () if path.is_absolute() or drive or ".." in path.parts else path.parts


def _is_clutter(place: PurePosixPath) -> bool:
    return any(map(is_clutter, place.parts))


@functools.lru_cache(maxsize=4)
def _open_zip(path: Path, process: int, changed: int) -> zipfile.ZipFile:
    """An open zip. It stays open while it does not change, since the table of a large one takes long to
    read. Each process has its own: a forked child would move its parent's position in the file.
    """
    return zipfile.ZipFile(path)
