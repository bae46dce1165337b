import csv
from dataclasses import replace

import numpy as np
import pytest
from drawn_predictions import drawn

from mgajax.errors import DataError
from mgajax.evaluation import Predictions
from mgajax.evaluation.predictions import concatenate, read_csv


def _predictions(n=30) -> Predictions:
    data = drawn(n)
    return Predictions(
        file_names=np.array([f'slice "{i}", ü.png' for i in range(n)]),
        labels=data["labels"],
        probabilities=data["probabilities"].astype(np.float64),
        patients=data["patients"],
        sources=data["sources"],
        split="test",
        overlap={"rank_auc": np.where(np.arange(n) % 3 == 0, np.nan, np.linspace(0, 1, n) / 3)},
    )


def test_round_trip_keeps_every_bit(tmp_path):
    first = _predictions()
    second = read_csv(first.write_csv(tmp_path / "predictions.csv"))
    for name in ("file_names", "labels", "probabilities", "patients", "sources"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    np.testing.assert_array_equal(first.overlap["rank_auc"], second.overlap["rank_auc"])
    assert (second.split, second.class_names) == (first.split, first.class_names)
    again = second.write_csv(tmp_path / "again.csv")
    assert again.read_bytes() == (tmp_path / "predictions.csv").read_bytes()


def test_header_is_fixed(tmp_path):
    header = _predictions().write_csv(tmp_path / "p.csv").read_text().split("\n")[0]
    assert header == (
        "file_name,split,label,predicted,p_Normal,p_COVID-19,p_CAP,patient,source,rank_auc"
    )


def test_each_cell_is_in_the_column_of_its_class(tmp_path):
    """By the columns' names: two classes exchanged in writing and in reading come back right."""
    first = _predictions()
    with first.write_csv(tmp_path / "p.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    for code, name in enumerate(("Normal", "COVID-19", "CAP")):
        chances = first.probabilities[:, code].tolist()
        assert [float(line[f"p_{name}"]) for line in lines] == chances, name
        for key, codes in (("label", first.labels), ("predicted", first.predicted)):
            assert [line[key] == name for line in lines] == (codes == code).tolist(), name


def test_columns_of_another_program_are_read_by_their_names(tmp_path):
    path = tmp_path / "p.csv"
    header = "file_name,split,label,predicted,p_Normal,p_COVID-19,p_CAP,patient,source"
    path.write_text(f"{header}\na.png,test,CAP,COVID-19,0.125,0.625,0.25,x/1,x\n")
    table = read_csv(path)
    assert table.class_names == ("Normal", "COVID-19", "CAP")
    assert table.probabilities.tolist() == [[0.125, 0.625, 0.25]]
    assert (table.labels.tolist(), table.predicted.tolist()) == ([2], [1])


def test_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = _predictions().write_csv(tmp_path / "predictions.csv")
    before = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        _predictions(5).write_csv(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_columns_of_another_length_are_refused():
    with pytest.raises(DataError, match="3 patients, but 4 file_names"):
        Predictions(**{**vars(_predictions(4)), "patients": np.array(["a", "b", "c"])})


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("p_CAP,", "", "line 2: not the 9 cells of the header"),
        ("patient,", "person,", "columns .* expected file_name"),
        (",test,Normal,", ",train,Normal,", "splits test, train in one file"),
        (",test,Normal,", ",test,Normel,", "did you mean 'Normal'"),
        (",zhao/0,", ",,zhao/0,", "not the 10 cells"),
        (",zhao/0,", "x,zhao/0,", "p_CAP is '.*x', expected a number"),
    ],
)
def test_damaged_file_is_refused_by_line(tmp_path, old, new, words):
    path = _predictions().write_csv(tmp_path / "predictions.csv")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=words):
        read_csv(path)


def test_prediction_that_is_not_the_argmax_is_refused(tmp_path):
    path = _predictions().write_csv(tmp_path / "predictions.csv")
    lines = path.read_text().split("\n")
    cells = lines[1].rsplit(",test,", 1)
    label, predicted, rest = cells[1].split(",", 2)
    other = "CAP" if predicted != "CAP" else "Normal"
    lines[1] = f"{cells[0]},test,{label},{other},{rest}"
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=f"line 2: predicted is '{other}'"):
        read_csv(path)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ("a.png,test,Normal,CAP,0.5,0.25,0.25,x/1,x", "predicted is 'CAP'"),
        ("a.png,test,Normal,Normal,0.5,0.25,0.25,x/1", "not the 9 cells"),
        ("a.png,test,Norm,Normal,0.5,0.25,0.25,x/1,x", "label is 'Norm'"),
        ("a.png,test,Normal,Normal,0.5,?,0.25,x/1,x", r"p_COVID-19 is '\?'"),
    ],
)
def test_the_first_damaged_line_is_named(tmp_path, cells, words):
    """As an editor counts them: the header is line 1."""
    path = tmp_path / "p.csv"
    header = "file_name,split,label,predicted,p_Normal,p_COVID-19,p_CAP,patient,source"
    good = [f"{n}.png,test,CAP,COVID-19,0.125,0.625,0.25,x/1,x" for n in range(4)]
    lines = [header, *good[:2], cells, good[2], cells.replace("a.png", "b.png"), good[3]]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=f"line 4: {words}"):
        read_csv(path)


def test_missing_probability_is_refused(tmp_path):
    path = _predictions().write_csv(tmp_path / "predictions.csv")
    lines = path.read_text().split("\n")
    head, _, *tail = lines[3].rsplit(",", 4)  # p_CAP, patient, source, rank_auc
    lines[3] = ",".join([head, "", *tail])
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match="line 4: p_CAP is '', expected a number"):
        read_csv(path)


def test_line_twice_is_refused(tmp_path):
    path = _predictions().write_csv(tmp_path / "predictions.csv")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines, lines[1]]))
    with pytest.raises(DataError, match=r"stands in several rows \(1 such slices\)"):
        read_csv(path)


def test_missing_file_is_a_clear_error(tmp_path):
    with pytest.raises(DataError, match="cannot be read as predictions"):
        read_csv(tmp_path / "none.csv")


def test_tables_are_joined_in_the_order_given():
    whole = _predictions(10)
    parts = [_rows(whole, slice(6, 10)), _rows(whole, slice(0, 6))]
    joined = concatenate(parts)
    np.testing.assert_array_equal(joined.file_names[4:], whole.file_names[:6])
    np.testing.assert_array_equal(joined.probabilities[:4], whole.probabilities[6:])
    np.testing.assert_array_equal(joined.overlap["rank_auc"][4:], whole.overlap["rank_auc"][:6])


def test_only_overlaps_that_all_have_are_joined():
    parts = [_rows(_predictions(10), slice(0, 6)), _rows(_predictions(10), slice(6, 10))]
    for first, second in (((), ("dice",)), (("dice",), ())):
        extended = [
            replace(part, overlap=part.overlap | dict.fromkeys(names, part.overlap["rank_auc"]))
            for part, names in zip(parts, (first, second), strict=True)
        ]
        assert set(concatenate(extended).overlap) == {"rank_auc"}


def test_only_tables_apart_are_joined():
    whole = _predictions(10)
    with pytest.raises(DataError, match="is in several .4 such slices."):
        concatenate([whole, _rows(whole, slice(0, 4))])
    with pytest.raises(DataError, match="no table; expected tables of the same classes"):
        concatenate([])


def _rows(table: Predictions, rows: slice) -> Predictions:
    columns = ("file_names", "labels", "probabilities", "patients", "sources")
    return replace(
        table,
        **{name: getattr(table, name)[rows] for name in columns},
        overlap={name: column[rows] for name, column in table.overlap.items()},
    )
