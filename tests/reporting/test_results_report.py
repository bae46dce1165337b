"""The static site: valid pages, the numbers of the reports, and plain notes on missing parts."""

import json
import shutil
from pathlib import Path

import drawn_folders as draw
import pytest
from parsed import ParsedPage, assert_sound
from unrendered import leave_blank

from mgajax.cli import main
from mgajax.errors import ConfigError
from mgajax.reporting.results_report import report_results


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    top = tmp_path_factory.mktemp("runs")
    draw.explanation(draw.classifier(top / "mga") / "explained")
    draw.segmenter(top / "unet")
    draw.trained(top / "waiting", config="classification/resnet18.py")
    draw.begun(top / "new & run", config="segmentation/segnet.py")
    draw.experiment(top / "table4")
    draw.explanation(top / "figure10")
    return {path.name: path for path in top.iterdir()}


@pytest.fixture(scope="module")
def spare(tmp_path_factory) -> Path:
    """Another classifier, evaluated on the slices of the first, for copies with faults."""
    return draw.classifier(tmp_path_factory.mktemp("spare") / "cbam", name="resnet18_cbam", seed=1)


@pytest.fixture(scope="module")
def site(folders, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("site")
    report_results([folders["mga"].parent], out=out)
    return out


@pytest.fixture
def unrendered(monkeypatch) -> None:
    """Where only words and links are looked at."""
    leave_blank(monkeypatch)


def test_every_folder_has_a_page_and_every_page_is_sound(site, folders) -> None:
    pages = list(site.rglob("index.html"))
    assert len(pages) == len(folders) + 1
    for path in pages:
        assert_sound(ParsedPage(path), site=site)
    top = ParsedPage(site / "index.html")
    assert all(name in top.text for name in folders)


def test_every_table_is_a_csv_of_as_many_rows(site) -> None:
    for path in site.rglob("index.html"):
        parsed = ParsedPage(path)
        tables = {link for link in parsed.links if link.startswith("tables/")}
        lengths = {len(draw.rows_of(path.parent / link)) for link in tables}
        for table in parsed.tables:
            if table[0][0] != "model":  # of the experiment's own Markdown
                assert len(table) in lengths, f"{path}: {table[0]}"


def test_every_figure_is_png_and_svg_with_its_numbers(site) -> None:
    for name in ("test_curves", "test_confusion", "test_calibration", "curves"):
        for suffix in ("png", "svg"):
            assert (site / "mga" / "figures" / f"{name}.{suffix}").stat().st_size > 1000
    lines = draw.rows_of(site / "mga" / "tables" / "test_curves.csv")
    bands = [row for row in lines if row[0] == "COVID-19" and row[2] == "band"]
    assert len(bands) == 2 * 101
    assert all(float(low) <= float(high) for *_, low, high in bands)
    assert draw.rows_of(site / "mga" / "tables" / "metrics.csv")[0][0] == "step"


def test_the_first_page_compares_measurements_with_the_paper(site, folders) -> None:
    metrics = json.loads((folders["mga"] / "evaluation" / "test.json").read_text())
    top = ParsedPage(site / "index.html")
    classifiers = next(table for table in top.tables if "Accuracy" in table[0])
    names = [row[:3] for row in classifiers[1:]]
    assert ["mga", "ResNet18 + CBAM + MGA", "measured"] in names
    assert ["The paper", "ResNet18 + CBAM + MGA", "paper, Table 4"] in names
    assert ["The paper", "DenseNet121", "paper, Table 4; not run"] in names
    assert ["waiting", "ResNet18", "not evaluated"] in names
    classifier_row = next(row for row in classifiers if row[0] == "mga")
    span = metrics["intervals"]["covid_vs_rest"]["accuracy"]
    value = metrics["covid_vs_rest"]["accuracy"]
    assert (
        classifier_row[3]
        == f"{100 * value:.1f} [{100 * span['low']:.1f}, {100 * span['high']:.1f}]"
    )
    assert classifiers[names.index(["mga", *classifier_row[1:3]]) + 2][3] == "95.15"
    assert "mgajax train --config configs/classification/densenet121.py" in top.text
    lines = draw.rows_of(site / "tables" / "classifiers.csv")
    column = lines[0].index("Accuracy")
    assert lines[0][column : column + 3] == ["Accuracy", "Accuracy, low", "Accuracy, high"]
    assert float(next(row for row in lines if row[0] == "mga")[column]) == 100 * value


def test_runs_on_other_slices_are_not_passed_off_as_comparable(
    unrendered, folders, spare, tmp_path
) -> None:
    def told(other: Path) -> bool:
        report = report_results([folders["mga"], other], out=tmp_path / "site")
        return "not all measured on the same slices" in ParsedPage(report.index).text

    assert not told(spare)
    other = tmp_path / "other"
    shutil.copytree(spare, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"data_fingerprint": "e" * 64}))
    assert not told(other), "the same slices at another size have another fingerprint"
    table = other / "evaluation" / "test_predictions.csv"
    table.write_text(table.read_text().replace(draw.rows_of(table)[1][0], "another.png"))
    assert told(other)


def test_a_run_tells_its_data_versions_and_every_key(site) -> None:
    page = ParsedPage(site / "mga" / "index.html")
    assert page.row("train") == ["train", "2", "1"]
    assert page.row("optimiser.learning_rate") == ["optimiser.learning_rate", "0.0001"]
    assert page.row("jax")[1].startswith("0.")
    assert "f" * 64 in page.text
    assert "finished after 4 steps (epochs)" in page.text
    assert "60.0 images a second" in page.text


def test_a_segmenter_is_shown_by_source_and_compared_with_table_3(site) -> None:
    page = ParsedPage(site / "unet" / "index.html")
    dice = next(row for table in page.tables for row in table if row[0] == "Dice, %")
    assert dice[-1] == "70.17"
    assert {row[0] for table in page.tables for row in table} >= {"jun", "zhao", "jun/0"}
    assert any("test_panel.png" in link for link in page.links)


def test_what_is_missing_is_named_with_the_command_that_makes_it(site, folders) -> None:
    waiting = ParsedPage(site / "waiting" / "index.html").text
    assert f"mgajax evaluate --workdir {folders['waiting']} --split test" in waiting
    assert "mgajax explain --workdir" in waiting
    new = ParsedPage(site / "new-&-run" / "index.html").text
    assert "Training has not ended" in new
    assert "nothing has been logged yet" in new


def test_an_explanation_is_a_gallery_with_its_scores(site) -> None:
    for page in (
        ParsedPage(site / "mga" / "index.html"),
        ParsedPage(site / "figure10" / "index.html"),
    ):
        assert page.row("a/run")[1:4] == ["Grad-CAM", "positive", "0.400 [0.300, 0.500]"]
        assert any("overlays.png" in image["src"] for image in page.images)


def test_an_experiment_shows_its_words_tables_and_failures(site) -> None:
    page = ParsedPage(site / "table4" / "index.html")
    assert "mga, seed 0: failed (loss is nan)" in page.text
    assert "Some <b>text</b>, a link inside, one outside." in page.text, "shown, not obeyed"
    assert not any("secret" in link for link in page.links)
    assert page.row("MGA") == ["MGA", "95"]
    assert "drawn: patients 24, size 96" in page.text
    assert ParsedPage(site / "index.html").row("table4")[1] == "Five classifiers (Paper, Table 4)"
    assert page.tags.count("img") == 1


def test_the_command_gives_the_same_files_and_says_what_is_missing(
    site, folders, tmp_path, capsys
) -> None:
    out = tmp_path / "site"
    assert main(["report", "--workdir", str(folders["mga"].parent), "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "waiting: Not evaluated on the test split" in lines
    assert lines[-2:] == [f"{len(folders) + 1} pages", str(out / "index.html")]
    for path in site.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (out / path.relative_to(site)).read_bytes(), path


@pytest.mark.parametrize("damage", ["{", "[]", '{"n": 3}'])
def test_a_damaged_report_is_named_and_the_rest_is_shown(
    unrendered, spare, tmp_path, damage: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(spare, run)
    (run / "evaluation" / "test.json").write_text(damage)
    report = report_results([run], out=tmp_path / "site")
    assert any("test.json" in message for _, message in report.missing)
    page = ParsedPage(tmp_path / "site" / "run" / "index.html")
    assert "Learning" in page.text


def test_tables_that_were_not_kept_cost_their_figures_only(unrendered, spare, tmp_path) -> None:
    run = tmp_path / "run"
    shutil.copytree(spare, run)
    (run / "evaluation" / "test_predictions.csv").unlink()
    (run / "split.csv").unlink()
    report_results([run], out=tmp_path / "site")
    page = ParsedPage(tmp_path / "site" / "run" / "index.html")
    assert "No table of the test slices" in page.text
    assert any("confusion" in link for link in page.links)
    assert not any("test_curves" in link for link in page.links)


def test_scores_of_attention_that_an_older_report_lacks_are_left_out(
    unrendered, spare, tmp_path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(spare, run)
    report = run / "evaluation" / "test.json"
    overlap = {"slices_with_lesion": 3, "rank_auc": {"mean": 0.8, "low": None, "high": None}}
    content = json.loads(report.read_text()) | {"attention_overlap": overlap}
    report.write_text(json.dumps(content))
    report_results([run], out=tmp_path / "site")
    page = ParsedPage(tmp_path / "site" / "run" / "index.html")
    assert page.row("ROC AUC of pixels") == ["ROC AUC of pixels", "0.800"]


def test_the_first_page_begins_with_measurement_data_and_a_picture(site) -> None:
    text = ParsedPage(site / "index.html").text
    begins = text[: text.index("4 runs")]
    assert "ResNet18 + CBAM + MGA: ROC AUC" in begins
    assert "test split: 90 slices of 30 patients" in begins
    assert ParsedPage(site / "index.html").images[0]["src"] == "figures/mga_test_attention.png"
    assert text.index("Fingerprints and versions") > text.index("Segmenters")


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("/data/ct_phantom/quickstart/1.0.0", "ct_phantom/quickstart 1.0.0"),
        ("tensorflow_datasets/covid_ct_slices", "covid_ct_slices"),
        ("/data/mine", "mine"),
        ("", "unknown"),
    ],
)
def test_a_run_names_its_data_set(unrendered, tmp_path, folder: str, name: str) -> None:
    run = draw.begun(tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    config["config"]["data"]["dir"] = folder
    (run / "config.json").write_text(json.dumps(config))
    report_results([run], out=tmp_path / "site")
    assert f"Data set{name}" in ParsedPage(tmp_path / "site" / "run" / "index.html").text
    assert (
        f"Data set{name}; nothing has been measured yet"
        in ParsedPage(tmp_path / "site" / "index.html").text
    )


def test_folders_that_are_nothing_are_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        report_results([tmp_path / "none"], out=tmp_path / "site")
    with pytest.raises(ConfigError, match=r"neither it nor a folder in it holds config\.json"):
        report_results([tmp_path], out=tmp_path / "site")


def test_a_search_shows_its_best_trial_its_trace_and_every_trial(tmp_path) -> None:
    folder = tmp_path / "tuning"
    folder.mkdir()
    content = {
        "objective": "minimise validation/cross_entropy at the best checkpoint",
        "counts": {"failed": 1, "finished": 2},
        "default": 0.9,
        "best": {"number": 2, "value": 0.25},
        "command": "mgajax train --config c.py --config.batch_size=8",
        "space": {"batch_size": [4, 64, "log"]},
    }
    (folder / "tuning.json").write_text(json.dumps(content))
    (folder / "trials.csv").write_text(
        "trial,status,value\n0,finished,0.9\n1,failed,\n2,finished,0.25\n"
    )
    draw.picture(folder / "trace.png")
    report_results([folder], out=tmp_path / "site")
    page = ParsedPage(tmp_path / "site" / "tuning" / "index.html")
    assert_sound(page, site=tmp_path / "site")
    assert "0.2500 (trial 2)" in page.text
    assert "1 failed, 2 finished" in page.text
    assert "--config.batch_size=8" in page.text
    assert page.row("1") == ["1", "failed", ""]
