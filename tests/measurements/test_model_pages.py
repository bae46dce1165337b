"""One page a network: current, and complete."""

from measurement_scripts import load_script

from mgajax import models

script = load_script("model_pages")


def test_committed_pages_match_code_and_results() -> None:
    made = script.pages()
    for name, text in made.items():
        committed = (script.PAGES / name).read_text(encoding="utf-8")
        assert committed == text, f"{name}: run python docs/measurements/model_pages.py"
    assert {path.name for path in script.PAGES.iterdir()} == set(made)


def test_every_network_has_a_page() -> None:
    assert set(script.MODELS) == set(models.names())
    for model in script.MODELS.values():
        assert not model.configuration or (script.ROOT / model.configuration).exists()
