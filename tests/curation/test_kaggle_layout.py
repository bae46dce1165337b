"""Finding the parts of a download, and reading its tables."""

from dataclasses import replace
from pathlib import Path

import pytest
from kaggle_fixture import RENAMED_ROW, SLICES, write_copy

from mgajax.curation.findings import Finding, Findings
from mgajax.curation.kaggle_layout import KaggleRow, find_layout, parse_age, read_rows, read_table
from mgajax.curation.matching import identify, list_pictures
from mgajax.curation.names import canonical_name, patient_id_from_name
from mgajax.errors import DataError


@pytest.mark.parametrize("headers", ["github", "kaggle"])
@pytest.mark.parametrize(
    ("nesting", "tables"), [("single", "beside"), ("doubled", "beside"), ("doubled", "inside")]
)
def test_rows_are_the_same_in_every_layout(tmp_path: Path, headers, nesting, tables) -> None:
    root = write_copy(tmp_path, headers=headers, nesting=nesting, tables=tables)
    rows = {row.file_name: row for row in read_rows(find_layout(root))}
    assert list(rows) == [slice_.name for slice_ in SLICES]
    assert rows[RENAMED_ROW].patient_id == "Zhao_Patient 7"
    assert rows["14_Jun_radiopaedia_7_85703_0_case20_4.png"].patient_id == "74724"
    assert rows["14_Jun_radiopaedia_7_85703_0_case20_4.png"].country == ""
    assert rows["13_Bjorke_1.png"].age == -1
    assert rows["14_Jun_coronacases_case1_155.png"].gender == ""
    assert rows["cap002_3.png"] == read_table(find_layout(root).tables[2], label=2)[2]
    assert (rows["cap002_3.png"].age, rows["cap002_3.png"].gender) == (70, "F")


def test_the_download_may_be_named_by_its_inner_folder(tmp_path: Path) -> None:
    root = write_copy(tmp_path / "download", nesting="doubled")
    for inner in ("curated_data", "curated_data/curated_data"):
        assert find_layout(root / inner) == find_layout(root)


def test_a_table_saved_anew_as_utf8_reads_the_same(tmp_path: Path) -> None:
    root = write_copy(tmp_path)
    before = read_rows(find_layout(root))
    for table in root.glob("*.csv"):
        table.write_text(table.read_bytes().decode("cp1252"), encoding="utf-8-sig", newline="")
    assert read_rows(find_layout(root)) == before


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("53", 53),
        ("053Y", 53),
        ("53.0", 53),
        ("0", -1),
        ("-", -1),
        ("", -1),
        ("999", -1),
        ("x", -1),
    ],
)
def test_parse_age(text: str, age: int) -> None:
    assert parse_age(text) == age


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    root = write_copy(tmp_path)
    (root / "meta_data_cap.csv").unlink()
    with pytest.raises(DataError, match=r"meta_data_cap\.csv is missing"):
        find_layout(root)


def test_a_renamed_column_is_named(tmp_path: Path) -> None:
    root = write_copy(tmp_path)
    table = root / "meta_data_normal.csv"
    table.write_bytes(table.read_bytes().replace(b"Patient ID", b"PatientID", 1))
    with pytest.raises(
        DataError, match=r"meta_data_normal\.csv: no column 'Patient ID'; found index"
    ):
        read_rows(find_layout(root))


def test_a_row_of_the_wrong_length_is_located(tmp_path: Path) -> None:
    table = write_copy(tmp_path) / "meta_data_cap.csv"
    table.write_bytes(table.read_bytes() + b"5,cap009_1.png,cap009\n")
    with pytest.raises(DataError, match=r"line 7 \(3 values, the header has 13\)"):
        read_table(table, label=2)


def test_a_quote_that_never_closes_is_located(tmp_path: Path) -> None:
    table = write_copy(tmp_path) / "meta_data_cap.csv"
    table.write_bytes(table.read_bytes() + b'5,"cap009_1.png,' + 150_000 * b"x\n")
    with pytest.raises(DataError, match=r"damaged in the row ending in line \d+"):
        read_table(table, label=2)


@pytest.mark.parametrize("content", [b"", b"\x81\x8d,File name\n"])
def test_an_unreadable_table_is_refused(tmp_path: Path, content: bytes) -> None:
    table = tmp_path / "meta_data_cap.csv"
    table.write_bytes(content)
    with pytest.raises(DataError, match=r"meta_data_cap\.csv"):
        read_table(table, label=2)


def test_two_differing_tables_are_refused(tmp_path: Path) -> None:
    root = write_copy(tmp_path, nesting="doubled")
    (root / "curated_data" / "meta_data_cap.csv").write_bytes(b"File name\n")
    with pytest.raises(DataError, match="differ"):
        find_layout(root)


def test_missing_and_doubled_class_folders_are_named(tmp_path: Path) -> None:
    root = write_copy(tmp_path / "copy", nesting="single")
    (root / "curated_data" / "3CAP").rename(root / "3CAP")
    with pytest.raises(DataError, match="exactly one of"):
        find_layout(root)
    (root / "3CAP").rename(root / "elsewhere")
    with pytest.raises(DataError, match="class folder 3CAP is missing"):
        find_layout(root)
    with pytest.raises(DataError, match="found none"):
        find_layout(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        find_layout(tmp_path / "nowhere")


EXPECTED_PEOPLE = {
    # class, source: slices, people; SOURCES: the counts that the tables of the release hold.
    (1, "rahimzadeh"): (666, 68),
    (0, "rahimzadeh"): (1053, 274),
    (1, "medseg"): (100, 43),
    (1, "jun"): (1844, 18),
    (1, "cohen"): (34, 17),
    (1, "morozov"): (785, 50),
    (0, "morozov"): (5080, 254),
    (1, "zhao"): (349, 213),
    (1, "afshar"): (3815, 55),
    (0, "afshar"): (760, 76),
    (2, "afshar"): (2618, 54),
}


@pytest.fixture(scope="module")
def published(shared: Path) -> dict[str, list[KaggleRow]]:
    """The rows of the published tables, by class."""
    tables = {name: f"meta_data_{name}.csv" for name in ("normal", "covid", "cap")}
    return {
        name: read_table(shared / "realdata" / "metadata" / table, label=label)
        for label, (name, table) in enumerate(tables.items())
    }


def test_the_full_tables(published: dict[str, list[KaggleRow]]) -> None:
    rows = [row for table in published.values() for row in table]
    assert len(rows) == 17_104
    assert len({canonical_name(row.file_name) for row in rows}) == 17_104
    findings = Findings()
    people: dict[tuple[int, str], set[str]] = {}
    slices: dict[tuple[int, str], int] = {}
    keys = set()
    for row in rows:
        identity = identify(row.file_name, row, findings=findings)
        assert identity is not None
        group = (row.label, identity.source)
        people.setdefault(group, set()).add(row.patient_id)
        slices[group] = slices.get(group, 0) + 1
        keys.add(identity.patient)
        if identity.source == "morozov":
            assert (identity.age, identity.gender) == (-1, "")
    assert {group: (slices[group], len(people[group])) for group in slices} == EXPECTED_PEOPLE
    assert len(keys) == 464 + 604 + 54 - 9, (
        "63, 64 and 66 are Zhao's; six of Zhao's are others of Zhao's"
    )
    assert not list(findings.summarise())


def test_names_decode_to_the_ids_of_the_full_tables(published: dict[str, list[KaggleRow]]) -> None:
    decoded = [(row, patient_id_from_name(row.file_name)) for row in published["covid"]]
    assert all(name in (None, row.patient_id) for row, name in decoded)
    assert sum(name is None for _, name in decoded) == 349 + 34 + 100


def test_ids_missing_in_an_early_release_come_from_the_name(
    published: dict[str, list[KaggleRow]],
) -> None:
    rows = [row for row in published["covid"] if "_coronacases_" in row.file_name]
    findings = Findings()
    emptied = [identify(r.file_name, replace(r, patient_id=""), findings=findings) for r in rows]
    assert emptied == [identify(r.file_name, r, findings=Findings()) for r in rows]
    assert len(findings.names(Finding.PATIENT_FROM_NAME)) == 1351


def test_files_left_by_desktops_are_no_damaged_pictures(tmp_path: Path) -> None:
    layout = find_layout(write_copy(tmp_path / "copy"))
    before = list_pictures(layout, findings=Findings())
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._cp001_1.png"):
        (layout.class_folders[2] / name).write_bytes(b"\0")
    findings = Findings()
    assert list_pictures(layout, findings=findings) == before
    assert len(findings.names(Finding.IGNORED)) == 4
    assert not findings.damaged()
