"""The audit on real slices: the documented copy, nothing false, and double identities by pixels."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from drawn_copies import jpeg, png
from PIL import Image
from unchecked import unchecked

from mgajax.audit.audit import IllustratedAudit, audit_folder
from mgajax.audit.copies import near_copies
from mgajax.audit.fingerprints import Fingerprint, fingerprint
from mgajax.curation import patient_ids
from tfds_builders import build

COPY = {
    "6_Rahimzadeh_normal4_patient245_SR_4_IM00017.png",
    "6_Rahimzadeh_normal5_patient245_SR_4_IM00017.png",
}


@pytest.fixture(scope="module")
def pack(shared: Path) -> Path:
    return shared / "realdata" / "pack_dev"


@pytest.fixture(scope="module")
def audited(pack: Path, cache: Path) -> IllustratedAudit:
    return audit_folder(pack, cache=cache)


def test_the_documented_copy_is_found_and_nothing_false(audited: IllustratedAudit) -> None:
    result = audited.result
    (copy,) = result.copies_within
    assert {copy.first.file_name, copy.second.file_name} == COPY
    assert copy.kind == "exact"
    assert result.pairs == ()
    assert result.identities == ()
    assert result.is_clean
    assert result.damaged == 0
    assert (result.slices, result.patients) == (140, 76)


def test_the_archive_tells_much_of_the_class(audited: IllustratedAudit) -> None:
    assert audited.result.association.v_slices == pytest.approx(0.602, abs=0.001)
    assert audited.result.shortcut.left_out == "CAP: fewer than two patients"


def reprinted(data: bytes) -> bytes:
    """The slice as a second paper prints it: tighter, smaller, contrast changed, JPEG."""
    picture = Image.open(io.BytesIO(data)).convert("L")
    width, height = picture.size
    box = (round(0.05 * width), round(0.04 * height), round(0.96 * width), round(0.95 * height))
    small = picture.crop(box).resize((380, 300), Image.Resampling.BICUBIC)
    levels = 255 * (np.arange(256) / 255) ** 0.8
    return jpeg(np.asarray(small.point(np.rint(levels).astype(int).tolist())), quality=60)


def test_a_figure_printed_twice_is_one_person(pack: Path) -> None:
    """What Cohen 63, 64 and 66 are to Zhao's patients 193 to 196, whose pixels are not in the pack."""
    folder = pack / "curated_data" / "2COVID"
    paths = sorted(folder.glob("15_Cohen_*")) + sorted(folder.glob("17_Zhao_*"))[:10]
    files = [path.read_bytes() for path in paths]
    prints = [fingerprint(data, name="slice") for data in (*files, *map(reprinted, files))]
    copies = copies_of(prints, people=list(range(len(prints))))
    expected = {frozenset((row, row + len(files))) for row in range(len(files))}
    assert copies == expected


def test_turned_slices_are_found(pack: Path) -> None:
    paths = sorted((pack / "curated_data" / "1NonCOVID").glob("16_*"))[:8]
    files = [path.read_bytes() for path in paths]
    turned = [
        png(np.rot90(np.asarray(Image.open(path).convert("L")), k=at % 4)[:, :: 1 - 2 * (at > 3)])
        for at, path in enumerate(paths)
    ]
    prints = [fingerprint(data, name="slice") for data in (*files, *turned)]
    copies = copies_of(prints, people=list(range(len(prints))))
    assert copies == {frozenset((row, row + len(files))) for row in range(len(files))}


def copies_of(prints: list[Fingerprint], *, people: list[int]) -> set[frozenset[int]]:
    copies = near_copies(
        np.stack([slice_print.thumbnail for slice_print in prints]),
        np.stack([slice_print.anchors for slice_print in prints]),
        people=np.array(people, np.int32),
    )
    return {frozenset((copy.first, copy.second)) for copy in copies}


@pytest.mark.slow(finds="double identities of the published set that the audit no longer finds")
def test_the_audit_finds_the_merged_people_where_nothing_is_merged(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pack holds both pictures of four of the pairs; no built split parts them."""
    folder = shared / "realdata" / "slices_dev"
    pairs = {(157, 166), (158, 165), (159, 164), (160, 167)}
    expected = {tuple(f"zhao/Zhao_Patient {number}" for number in pair) for pair in pairs}
    with unchecked(), monkeypatch.context() as patch:
        patch.setattr(patient_ids, "DOUBLE_IDENTITIES", {})
        result = audit_folder(folder, cache=tmp_path).result
        assert {identity.patients for identity in result.identities} == expected
        audit = tmp_path / "audit.json"
        audit.write_text(json.dumps(result.to_json()))
        merged = build("covid_ct_slices", manual_dir=folder, data_dir=tmp_path, merge=str(audit))
        assert audit_folder(merged.directory, cache=tmp_path).result.is_clean
    built = build("covid_ct_slices", manual_dir=folder, data_dir=tmp_path)
    assert audit_folder(built.directory, cache=tmp_path).result.is_clean
    assert merged.record["merged"] == {second: rows for rows, second in expected}
