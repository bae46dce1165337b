"""Numbers and verdicts in running text: made from their results, and a false one is found."""

import json
import re
from pathlib import Path

import pytest

from mgajax.errors import ConfigError
from mgajax.reporting.readme import BLOCK, rewritten
from mgajax.reporting.statements import STATEMENT, filled
from mgajax.reporting.tables.measurements import DECIDED, Measurement

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/results/index.md", "docs/results/found.md")
SPAN = re.compile(r"\[−?-?\d+\.\d+, −?-?\d+\.\d+\]")
RESULTS = ROOT / "docs" / "results"
PLACE = "r.json; Claims; A is better; Accuracy"


def rows_of(study: str) -> list[Measurement]:
    content = json.loads((RESULTS / study / "results.json").read_text(encoding="utf-8"))
    return [Measurement.from_json(row) for row in content["rows"]]


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
    ("form", "told"),
    [
        ("value", "−2.1"),
        ("interval", "−2.1 [−5.0, 0.8] (open)"),
        ("networks", "−2.1 [−3.0, −1.2]"),
        ("seeds", "−2.0, −2.2"),
        ("verdict", "open"),
    ],
)
def test_a_statement_says_what_its_results_say(folder: Path, form: str, told: str) -> None:
    text = f"before <!-- = {PLACE}; {form} -->2.1 (holds)<!-- / --> after"
    expected = f"before <!-- = {PLACE}; {form} -->{told}<!-- / --> after"
    assert filled(text, folder=folder) == expected


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("r.json; Claim; A is better; Accuracy; value", "no table 'Claim' there; did you mean"),
        ("r.json; Claims; A is better; Accuracy; vlaue", "did you mean 'value'"),
        ("none.json; Claims; A is better; Accuracy; value", "no such results"),
    ],
)
def test_what_a_statement_asks_for_must_be_there(folder: Path, place: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        filled(f"<!-- = {place} -->2.1<!-- / -->", folder=folder)


@pytest.mark.parametrize("name", PAGES)
def test_a_planted_false_sentence_is_found(name: str) -> None:
    """Value, interval or verdict, anywhere in README or pages."""
    path = ROOT / name
    text = path.read_text(encoding="utf-8")
    assert rewritten(text, folder=path.parent) == text, f"run: mgajax report --readme {name}"
    for match in STATEMENT.finditer(text):
        for planted in ("99.9", match["body"].replace("(open)", "(holds)")):
            if planted == match["body"]:
                continue
            false = text[: match.start("body")] + planted + text[match.end("body") :]
            assert filled(false[match.start() :], folder=path.parent) == text[match.start() :]
            break


@pytest.mark.parametrize("name", PAGES)
def test_no_interval_stands_by_itself(name: str) -> None:
    """Whoever writes one by hand is told to name its results."""
    text = (ROOT / name).read_text(encoding="utf-8")
    by_hand = SPAN.findall(STATEMENT.sub("", BLOCK.sub("", text)))
    assert not by_hand, f"{name}: {by_hand} without `<!-- = FILE; TABLE; NAME; METRIC; FORM -->`"


def test_what_the_pages_say_in_words_is_so() -> None:
    """Sentences without a number, held to the verdicts that they are about."""
    decided = {
        study: {
            (row.table, row.name, row.metric): row.value
            for row in rows_of(study)
            if row.verdict.startswith(DECIDED)
        }
        for study in ("ablations", "claims", "fig8", "fig9", "table4", "leave_one_source_out")
    }
    steps = [key for key in decided["claims"] if "(Table 4)" in key[1]]
    assert steps == [
        ("Claims on performance", "MGA is better than ResNet18 (Table 4)", "Three-class accuracy")
    ]
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
