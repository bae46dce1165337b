"""Tables and statements in texts: made from their results, and a false one is found."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from mgajax.cli import main
from mgajax.errors import ConfigError, DataError
from mgajax.reporting.results_in_text import (
    STATEMENT,
    TABLE,
    fill_statements,
    results_table,
    rewrite_file,
    rewrite_text,
)
from mgajax.reporting.tables.measurements import DECIDED, Measurement

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    "README.md",
    "docs/results/index.md",
    "docs/results/found.md",
    "docs/explanation/attribution.md",
    "docs/explanation/segmentation.md",
)
SPAN = re.compile(r"\[−?-?\d+\.\d+, −?-?\d+\.\d+\]")
RESULTS = ROOT / "docs" / "results"
MEASUREMENT = "r.json; Claims; A is better; Accuracy"


def rows_of(study: str) -> list[Measurement]:
    content = json.loads((RESULTS / study / "results.json").read_text(encoding="utf-8"))
    return [Measurement.from_json(row) for row in content["rows"]]


MARKED = """# Title

before
<!-- results: results/t.json, Binary -->
old
<!-- /results -->
after
"""


def row(name: str, metric: str, value: float | None, **other) -> dict:
    known = {"low": None, "high": None, "seeds": {}, "paper": None}
    more = {"table": "Binary", "status": "measured", "scale": "percent"}
    return {"name": name, "metric": metric, "value": value, **known, **more, **other}


@pytest.fixture
def readme(tmp_path: Path) -> Path:
    rows = [
        row(
            "CBAM",
            "Accuracy",
            0.9312,
            low=0.9,
            high=0.95,
            seeds={"0": 0.935, "1": 0.9274},
            paper=0.9426,
        ),
        row("CBAM", "F1", 0.5),
        row("MGA", "F1", 0.1, low=0.05, method_low=0.01, method_high=0.19, verdict="holds"),
        row("MGA", "Accuracy", None, status="not run"),
        row("MGA", "Epochs", 12.0, scale="number"),
        row("MGA", "Accuracy", 0.1, table="Another"),
    ]
    content = {"rows": rows, "seeds": [0, 1], "command": "mgajax experiment table4"}
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "t.json").write_text(json.dumps(content))
    path = tmp_path / "README.md"
    path.write_text(MARKED)
    return path


def test_the_marked_block_alone_is_written_anew(readme: Path, capsys) -> None:
    assert main(["report", "--readme", str(readme)]) == 0
    assert "1 tables written" in capsys.readouterr().out
    text = readme.read_text()
    assert text.startswith("# Title\n\nbefore\n<!-- results: results/t.json, Binary -->\n\n|")
    assert text.endswith("<!-- /results -->\nafter\n")
    assert "old" not in text
    assert "| CBAM | 93.1 [90.0, 95.0] ± 0.5 | 50.0 |  |" in text
    assert "| *in the paper* | 94.26 | – | – |" in text
    assert "| MGA | not run | **10.0 [1.0, 19.0]** | 12 |" in text
    assert "`mgajax experiment table4`; seeds 0, 1." in text
    assert rewrite_file(readme) == "1 tables are as their results give them"
    assert readme.read_text() == text


def test_faults_are_reported(readme: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        rewrite_file(tmp_path / "NONE.md")
    (tmp_path / "plain.md").write_text("text")
    with pytest.raises(ConfigError, match="no marked block"):
        rewrite_file(tmp_path / "plain.md")
    results = tmp_path / "results" / "t.json"
    with pytest.raises(ConfigError, match="no table 'Binray'; did you mean 'Binary'"):
        results_table(results, "Binray")
    results.write_text('{"rows": [{}]}')
    with pytest.raises(DataError, match="not the results"):
        rewrite_file(readme)
    results.unlink()
    with pytest.raises(ConfigError, match="no such results"):
        rewrite_file(readme)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    row = Measurement(
        "Claims",
        "A is better",
        "Accuracy",
        value=-0.021,
        low=-0.03,
        high=-0.012,
        seeds={0: -0.02, 1: -0.022},
        method_low=-0.05,
        method_high=0.008,
        verdict="open: the interval holds zero",
    )
    (tmp_path / "r.json").write_text(json.dumps({"rows": [row.to_json()]}))
    return tmp_path


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("value", "−2.1"),
        ("interval", "−2.1 [−5.0, 0.8] (open)"),
        ("networks", "−2.1 [−3.0, −1.2]"),
        ("seeds", "−2.0, −2.2"),
        ("verdict", "open"),
    ],
)
def test_a_statement_says_what_its_results_say(folder: Path, form: str, words: str) -> None:
    text = f"before <!-- = {MEASUREMENT}; {form} -->2.1 (holds)<!-- / --> after"
    expected = f"before <!-- = {MEASUREMENT}; {form} -->{words}<!-- / --> after"
    assert fill_statements(text, folder=folder) == expected


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("r.json; Claim; A is better; Accuracy; value", "no table 'Claim' there; did you mean"),
        ("r.json; Claims; A is better; Accuracy; vlaue", "did you mean 'value'"),
        ("none.json; Claims; A is better; Accuracy; value", "no such results"),
    ],
)
def test_what_a_statement_asks_for_must_be_there(folder: Path, place: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        fill_statements(f"<!-- = {place} -->2.1<!-- / -->", folder=folder)


@pytest.mark.parametrize("name", PAGES)
def test_a_planted_false_sentence_is_found(name: str) -> None:
    """Value, interval or verdict, anywhere in README or pages."""
    path = ROOT / name
    text = path.read_text(encoding="utf-8")
    assert rewrite_text(text, folder=path.parent) == text, f"run: mgajax report --readme {name}"
    for match in STATEMENT.finditer(text):
        for planted in ("99.9", match["body"].replace("(open)", "(holds)")):
            if planted == match["body"]:
                continue
            false = f"{match['open']}{planted}{match['end']}"
            assert fill_statements(false, folder=path.parent) == match[0]
            break


@pytest.mark.parametrize("name", PAGES)
def test_intervals_come_with_their_value(name: str) -> None:
    """Whoever writes one by hand is words to name its results."""
    text = (ROOT / name).read_text(encoding="utf-8")
    by_hand = SPAN.findall(STATEMENT.sub("", TABLE.sub("", text)))
    assert not by_hand, f"{name}: {by_hand} without `<!-- = FILE; TABLE; NAME; METRIC; FORM -->`"


def _check_what_is_said_of_five_seeds(decided: Mapping[tuple[str, str, str], float | None]) -> None:
    lies = "Guided attention lies on lesions, unguided less so (Fig. 9)"
    ahead = "Guided attention at 20 % is ahead of unguided at 80 % (Fig. 9)"
    attention = {key[1:]: value for key, value in decided.items() if "attention" in key[0]}
    assert {key for key, value in attention.items() if value > 0} == {
        (f"{lies}: {masks}", metric)
        for masks in ("the paper's masks", "exact masks")
        for metric in ("ROC AUC of pixels", "Attention on lesion")
    }
    assert {key for key, value in attention.items() if value < 0} == {
        (f"{ahead}: {masks}", "ROC AUC of pixels") for masks in ("the paper's masks", "exact masks")
    }
    performance = {key[1:]: value for key, value in decided.items() if "performance" in key[0]}
    worse = "Guidance gains at 20 % of the data (Fig. 8): exact masks"
    assert set(performance) == {(worse, "Three-class accuracy")}
    assert performance[worse, "Three-class accuracy"] < 0
    compared = [row for row in rows_of("paper_masks") if row.table == "Claims on performance"]
    assert len(compared) == 90


def test_sentences_of_the_pages_match_the_results() -> None:
    """Sentences without a number, held to the verdicts that they are about."""
    decided = {
        study: {
            (row.table, row.name, row.metric): row.value
            for row in rows_of(study)
            if row.verdict.startswith(DECIDED)
        }
        for study in (
            "ablations",
            "fig8",
            "fig9",
            "table4",
            "leave_one_source_out",
            "paper_masks",
        )
    }
    _check_what_is_said_of_five_seeds(decided["paper_masks"])
    masks = [key for key in decided["ablations"] if key[1].startswith("masks ")]
    assert not [key for key in masks if key[2] == "Accuracy"]
    better = [key for key, value in decided["ablations"].items() if value > 0]
    assert {key[0] for key in better} == {"Attention on lesions: differences"}
    shares = {key[1].rpartition(", ")[2] for key in decided["fig8"]}
    assert shares == {"10 %"}
    pairs = {k[1].rpartition(", ")[2] for k in decided["fig9"] if k[2] == "ROC AUC of pixels"}
    assert pairs == {f"{percent} %" for percent in (60, 70, 80, 90)}
    assert not decided["leave_one_source_out"], "one seed never holds"
    values = {(r.table, r.name, r.metric): r.value for r in rows_of("ablations")}
    plain = {r.name: r.value for r in rows_of("table4") if r.metric == "Accuracy" and r.paper}
    head = "COVID-19 against the rest"
    for arm in ("masks predicted", "masks predicted soft"):
        assert values[head, arm, "Accuracy"] < plain["ResNet18 + CBAM"]
