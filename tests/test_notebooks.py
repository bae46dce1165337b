"""The notebooks run from top to bottom, on drawn data where Kaggle or a reader has the real."""

import os
import shutil
from pathlib import Path

import nbformat
import pytest
from kaggle_fixture import DrawnSlice, write_copy
from nbclient import NotebookClient
from nbformat import NotebookNode
from session import NARROW

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

SMALL = {
    "preparation.image_size": 32,
    "batch_size": 8,
    "eval_batch_size": 8,
    "epochs": 2,
    "log_every": 1,
}


def drawn_people() -> list[DrawnSlice]:
    """Eight people a class, two slices each, with the names of COVID-CT-MD."""
    return [
        DrawnSlice(label, f"{letter}{number:03}_{place}.png", f"{letter}{number:03}", "50", "F")
        for label, letter in enumerate(("normal", "P", "cap"))
        for number in range(1, 9)
        for place in (40, 41)
    ]


def execute(name: str, *, folder: Path, **parameters: str) -> NotebookNode:
    """Run a notebook in `folder` with other values in its cell of parameters."""
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    (cell,) = (cell_ for cell_ in notebook.cells if "parameters" in cell_.metadata.get("tags", ()))
    cell.source = "\n".join(f"{key} = {value!r}" for key, value in parameters.items())
    client = NotebookClient(notebook, timeout=280, resources={"metadata": {"path": str(folder)}})
    return client.execute()


def printed(notebook: NotebookNode) -> str:
    """All that the cells wrote to stdout."""
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", ())]
    return "".join(out.text for out in outputs if out.get("name") == "stdout")


@pytest.fixture
def on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`mgajax` as a command of this checkout, for the notebooks' shells."""
    command = tmp_path / "bin" / "mgajax"
    command.parent.mkdir()
    command.write_text('#!/bin/sh\nexec python -m mgajax "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_hold_no_outputs_and_one_cell_of_parameters(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    codes = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in codes)
    assert sum("parameters" in cell.metadata.get("tags", ()) for cell in codes) == 1


@pytest.mark.slow(finds="a notebook whose cells no longer fit the commands, files or names")
def test_kaggle_notebook_trains_on_the_set_as_kaggle_mounts_it(on_path, tmp_path: Path) -> None:
    mounted = tmp_path / "input"
    slices = mounted / "large-covid19-ct-slice-dataset"
    slices.mkdir(parents=True)
    write_copy(slices, headers="kaggle", nesting="doubled", slices=drawn_people())
    lesions = mounted / "covid19-ct-scan-lesion-segmentation-dataset"
    lesions.mkdir()
    (slices / "masks").rename(lesions / "masks")
    executed = execute(
        "kaggle_train",
        folder=tmp_path,
        INPUT=str(mounted),
        WORKING=str(tmp_path / "working"),
        CONFIG=str(NARROW / "mga_resnet18.py"),
        SETTINGS=" ".join(f"--config.{key}={value}" for key, value in SMALL.items()),
    )
    assert "COVID-19 vs rest" in printed(executed)
    assert (tmp_path / "working" / "report" / "index.html").exists()


@pytest.mark.slow(finds="a tour that shows names or files that are no longer there")
def test_tour_of_what_quickstart_makes(
    on_path, trained: Path, trained_segmenter: Path, tmp_path: Path, monkeypatch
) -> None:
    from mgajax.evaluation.evaluate import evaluate_run

    shutil.copytree(trained, tmp_path / "quickstart" / "classification")
    shutil.copytree(trained_segmenter, tmp_path / "quickstart" / "segmentation")
    evaluate_run(tmp_path / "quickstart" / "classification")
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "2")  # as the runs were trained
    executed = execute("tour", folder=tmp_path, QUICKSTART=str(tmp_path / "quickstart"))
    text = printed(executed)
    assert "slices of" in text
    assert float(text.split("largest gap: ")[1].split()[0]) < 0.01
