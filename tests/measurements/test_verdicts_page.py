"""docs/results/verdicts.md is what the former verdicts and today's results give."""

from measurement_scripts import load_script


def test_the_page_matches_its_results() -> None:
    verdicts = load_script("verdicts")
    text = verdicts.PAGE.read_text(encoding="utf-8")
    assert text.rstrip("\n") == verdicts.page(), "run: python docs/measurements/verdicts.py"
