"""`mgajax report --workdir DIR...`: a front page, and a page for each run, experiment, tuning or explanation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mgajax.reporting.folder_pages import write_experiment, write_explanation, write_tuning
from mgajax.reporting.front_page import write_front_page
from mgajax.reporting.html.blocks import Link
from mgajax.reporting.html.page import PAGE, Page
from mgajax.reporting.reported_run import read_run
from mgajax.reporting.result_folders import FolderKind, ResultFolder, find_folders
from mgajax.reporting.run_page import write_run

TITLE = "mgajax report"
WRITERS: dict[FolderKind, Callable[..., Path]] = {
    FolderKind.EXPERIMENT: write_experiment,
    FolderKind.TUNING: write_tuning,
    FolderKind.EXPLANATION: write_explanation,
}


@dataclass(frozen=True)
class ResultsReport:
    """What was written.

    Attributes:
      index: the first page.
      pages: all pages, the first one among them.
      missing: what pages say is not there: (name of the run, what).
    """

    index: Path
    pages: tuple[Path, ...]
    missing: tuple[tuple[str, str], ...]


def report_results(folders: Sequence[Path], *, out: Path) -> ResultsReport:
    """Write pages of runs, experiments, tunings and explanations into a folder.

    Everything is read from what training, evaluation and the others left as text; no data set, no
    checkpoint and no device is needed. The same folders give the same files.

    Args:
      folders: theirs, or folders that hold them.
      out: made if needed; what an older report left there is written over.

    Raises:
      ConfigError: a folder that is none of these.
    """
    result_folders = find_folders(folders)
    runs = [read_run(folder) for folder in result_folders if folder.kind == FolderKind.RUN]
    other_folders = [folder for folder in result_folders if folder.kind != FolderKind.RUN]
    out.mkdir(parents=True, exist_ok=True)
    pages = [write_run(_page(run.folder, out), run) for run in runs]
    pages += [WRITERS[folder.kind](_page(folder, out), folder) for folder in other_folders]
    index = write_front_page(Page(out, TITLE), runs, other_folders)
    gaps = tuple((run.folder.name, missing.message) for run in runs for missing in run.missing)
    return ResultsReport(index, (index, *pages), gaps)


def _page(folder: ResultFolder, out: Path) -> Page:
    return Page(out / folder.slug, folder.name, (Link(TITLE, f"../{PAGE}"),))
