import json
from pathlib import Path

import pytest

from mgajax.cli import main
from mgajax.errors import ConfigError, DataError
from mgajax.reporting.readme import results_table, rewrite

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
    assert rewrite(readme) == "1 tables are as their results give them"
    assert readme.read_text() == text


def test_what_is_wrong_is_told(readme: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        rewrite(tmp_path / "NONE.md")
    (tmp_path / "plain.md").write_text("text")
    with pytest.raises(ConfigError, match="no marked block"):
        rewrite(tmp_path / "plain.md")
    results = tmp_path / "results" / "t.json"
    with pytest.raises(ConfigError, match="no table 'Binray'; did you mean 'Binary'"):
        results_table(results, "Binray")
    results.write_text('{"rows": [{}]}')
    with pytest.raises(DataError, match="not the results"):
        rewrite(readme)
    results.unlink()
    with pytest.raises(ConfigError, match="no such results"):
        rewrite(readme)
