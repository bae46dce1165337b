"""Tables 1 and 2 and Figure 4, from drawn copies and from the real tables."""

from pathlib import Path

import numpy as np
import pytest
from drawn_nifti import jun_archive, medseg_archive, morozov_archive
from kaggle_fixture import write_copy
from unchecked import unchecked

from mgajax import paper
from mgajax.curation.ct_findings import WORDS, count_findings, findings_in
from mgajax.curation.curate import curate
from mgajax.curation.paper_counts import find_differences, fits_table2, is_whole_set
from mgajax.curation.statistics import (
    figure4,
    read_facts,
    read_split,
    table1,
    table2,
    total_row,
)
from mgajax.errors import DataError


@pytest.mark.parametrize("headers", ["github", "kaggle"])
def test_table1_of_a_downloaded_copy(tmp_path: Path, headers) -> None:
    facts = read_facts(write_copy(tmp_path, headers=headers))
    rows = {row.source: row for row in table1(facts)}
    assert list(rows) == ["zhao", "afshar", "cohen", "morozov", "rahimzadeh", "jun", "medseg"]
    assert (rows["morozov"].slices, rows["morozov"].cases) == ((8, 1, 0), (4, 1, 0))
    assert (rows["afshar"].slices, rows["afshar"].cases) == ((2, 3, 5), (2, 2, 4))
    assert (rows["rahimzadeh"].slices, rows["rahimzadeh"].cases) == ((2, 1, 0), (1, 1, 0))
    assert rows["jun"].cases == (0, 4, 0), "the empty id is known from the file name"
    assert (rows["morozov"].age_known, rows["morozov"].gender_known) == (0, 0)
    assert rows["afshar"].age_known == 9, "P104's row belongs to another scan"
    assert rows["medseg"].age_known == 1, "0 means missing"
    assert rows["morozov"].countries == ("Russia",)
    assert rows["zhao"].stored_as == "PNG, JPEG"
    total = total_row(facts)
    assert total.total == len(facts) == sum(row.total for row in rows.values())
    assert {source: row.masked for source, row in rows.items() if row.masked} == {
        "medseg": 2,
        "jun": 1,
        "morozov": 1,
    }
    people = {fact.patient for fact in facts}
    assert len(people) == sum(total.cases) - 2, "cohen/63 and zhao 193, cohen/66 and zhao 196"


def test_table1_of_a_rebuilt_set(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    morozov_archive(raw / "MosMedData")
    jun_archive(raw / "jun")
    medseg_archive(raw / "medseg")
    curate(raw, out=out)
    facts = read_facts(out)
    rows = {row.source: row for row in table1(facts)}
    assert {source: (row.slices, row.cases, row.masked) for source, row in rows.items()} == {
        "morozov": ((40, 3, 0), (2, 1, 0), 3),
        "jun": ((0, 4, 0), (0, 2, 0), 4),
        "medseg": ((0, 5, 0), (0, 1, 0), 5),
    }
    for name in ("catalogue.csv", "meta_data_cap.csv"):
        (out / name).unlink()
    from_tables = {row.source: row for row in table1(read_facts(out))}
    assert from_tables == rows, "the catalogue and the published tables say the same"


def test_sexes_and_ages_as_printed_and_as_trusted(tmp_path: Path) -> None:
    facts = read_facts(write_copy(tmp_path))
    published = figure4(facts, demographics="published")
    trusted = figure4(facts, demographics="trusted")
    assert published.genders["Normal"] == {"M": 3, "F": 9, "": 0}
    assert trusted.genders["Normal"] == {"M": 3, "F": 1, "": 0}
    assert len(published.ages["Normal"]) == 12
    np.testing.assert_array_equal(np.sort(trusted.ages["Normal"]), [30, 44, 44, 61])
    assert trusted.median_ages()["Normal"] == 44
    assert published.countries["Russia"] == 9
    assert next(iter(published.countries)) == "Iran"
    assert sum(published.countries.values()) == len(facts)


def test_table2_by_slice_and_by_patient(tmp_path: Path) -> None:
    facts = read_facts(write_copy(tmp_path / "copy"))
    by_slice = tmp_path / "split.csv"
    lines = [f"{fact.file_name},{'train' if fact.label else 'test'}" for fact in facts]
    by_slice.write_text("\n".join(["file_name,split", *lines, ""]))
    counts = table2(facts, split_of=read_split(by_slice))
    classes = [sum(fact.label == label for fact in facts) for label in range(3)]
    assert counts["test"] == {"Normal": classes[0], "COVID-19": 0, "CAP": 0}
    assert counts["train"] == {"Normal": 0, "COVID-19": classes[1], "CAP": classes[2]}
    assert "unused" not in counts
    by_patient = tmp_path / "patients.csv"
    by_patient.write_text("Patient ID,split\nstudy_id_1,val\nstudy_id_2,train\n74724,test\n")
    counts = table2(facts, split_of=read_split(by_patient))
    assert counts["validation"]["Normal"] == counts["train"]["Normal"] == 2
    assert counts["test"]["COVID-19"] == 1
    assert sum(counts["unused"].values()) == len(facts) - 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", r"split.csv: columns a, b; expected split, and file_name or Patient ID"),
        ("file_name,split\nx.png,dev\n", r"split.csv, line 2: split 'dev'; expected train"),
    ],
)
def test_bad_split_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "split.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_split(path)
    with pytest.raises(DataError, match="no readable split file"):
        read_split(tmp_path / "absent.csv")


def test_folder_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"neither catalogue.csv nor meta_data_normal.csv"):
        read_facts(tmp_path)
    (tmp_path / "catalogue.csv").write_text("file_name,source\n")
    with pytest.raises(DataError, match=r"catalogue.csv: no column class_name, patient_id"):
        read_facts(tmp_path)


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ("Multiple GGOs in both lungs.", {"ground-glass opacity", "bilateral"}),
        ("showing\nground\xa0glass  opacities", {"ground-glass opacity"}),
        ("Multilobar ground?glass opacities", {"ground-glass opacity", "multifocal or multilobar"}),
        (
            "No pleural effusion or adenopathy. Bilateral consolidation.",
            {"bilateral", "consolidation"},
        ),
        ("without any consolidation", set()),
        ("No fever. Consolidation is seen", {"consolidation"}),
        (
            "crazy-paving pattern, thickened interstitium",
            {"crazy paving", "reticulation or thick septa"},
        ),
        ("Lower-limb compression ultrasonography was negative.", set()),
        ("lesions near the pleura; sub-pleural, diffuse", {"peripheral or subpleural", "diffuse"}),
    ],
)
def test_findings_of_a_report(report: str, expected: set[str]) -> None:
    assert findings_in(report) == expected


def test_findings_are_counted_by_slice() -> None:
    got = count_findings(["", "  ", "GGO, bilateral", "ggo", "chest CT of two patients"])
    assert (got.reports, got.naming) == (3, 2)
    assert list(got.counts.items()) == [("ground-glass opacity", 2), ("bilateral", 1)]
    assert set(got.counts) <= set(WORDS)


@pytest.fixture(scope="module")
def published_facts(shared: Path):
    with unchecked():
        return read_facts(shared / "realdata" / "metadata")


def test_real_table1_is_the_papers_but_for_two_known_counts(published_facts) -> None:
    assert len(published_facts) == 17104
    assert is_whole_set(published_facts)
    counts = {
        (difference.source, difference.class_name, difference.quantity): (
            difference.counted,
            difference.paper,
        )
        for difference in find_differences(published_facts)
    }
    assert counts == {
        ("jun", "COVID-19", "cases"): (18, 20),
        ("afshar", "CAP", "cases"): (54, 60),
        ("all", "COVID-19", "cases"): (464, 466),
        ("all", "CAP", "cases"): (54, 60),
    }
    assert all(difference.reason for difference in find_differences(published_facts))


def test_real_table2_is_the_papers(published_facts, shared: Path) -> None:
    split_of = read_split(shared / "realdata" / "table2_split_example.csv")
    counts = table2(published_facts, split_of=split_of)
    assert counts == paper.TABLE2
    assert fits_table2(counts)
    counts["train"]["CAP"] += 1
    assert not fits_table2(counts)


def test_real_figure4_has_the_papers_countries_and_ages(published_facts) -> None:
    data = figure4(published_facts, demographics="published")
    assert data.median_ages() == paper.MEDIAN_AGES
    named = [country for country in data.countries if country]
    assert len(named) == paper.COUNTRIES
    assert named[:3] == ["Iran", "Russia", "China"]
    missing = sum(counts[""] for counts in data.genders.values())
    assert round(missing / 17104, 2) == paper.MISSING_SEX
    assert all(counts["M"] > counts["F"] for counts in data.genders.values())
    assert next(iter(data.findings.counts)) == "ground-glass opacity"
    assert data.findings.reports == 863
    assert 0.9 * paper.REPORTS < data.findings.naming < 1.1 * paper.REPORTS
    trusted = figure4(published_facts, demographics="trusted")
    assert trusted.median_ages()["Normal"] == 39, "5,080 Normal slices have invented ages"


def test_real_pack_has_the_rows_of_its_tables(shared: Path) -> None:
    facts = read_facts(shared / "realdata" / "pack_dev")
    rows = {row.source: row for row in table1(facts)}
    assert {source: (row.slices, row.masked) for source, row in rows.items()} == {
        "zhao": ((0, 34, 0), 0),
        "afshar": ((10, 13, 20), 0),
        "cohen": ((0, 6, 0), 0),
        "morozov": ((17, 7, 0), 7),
        "rahimzadeh": ((12, 7, 0), 0),
        "jun": ((0, 8, 0), 5),
        "medseg": ((0, 6, 0), 6),
    }
    assert not is_whole_set(facts)
