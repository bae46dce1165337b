"""The site: a first page, and a page for each folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mgajax.reporting.folder_pages import write_experiment, write_explanation, write_tuning
from mgajax.reporting.html.blocks import Link
from mgajax.reporting.html.page import PAGE, Page
from mgajax.reporting.index_page import write_index
from mgajax.reporting.result_folders import FolderKind, ResultFolder, find_folders
from mgajax.reporting.run_page import write_run
from mgajax.reporting.run_results import read_run

TITLE = "mgajax report"
WRITERS: dict[FolderKind, Callable[..., Path]] = {
    FolderKind.EXPERIMENT: write_experiment,
    FolderKind.TUNING: write_tuning,
    FolderKind.EXPLANATION: write_explanation,
}


@dataclass(frozen=True)
class Site:
    """What was written.

    Attributes:
      index: the first page.
      pages: all pages, the first one among them.
      missing: what pages say is not there: (name of the run, what).
    """

    index: Path
    pages: tuple[Path, ...]
    missing: tuple[tuple[str, str], ...]


def write_site(given: Sequence[Path], *, out: Path) -> Site:
    """Write the site of runs, experiments, tunings and explanations into a folder.

    Everything is read from what training, evaluation and the others left as text; no data set, no
    checkpoint and no device is needed. The same folders give the same files.

    Args:
      given: their folders, or folders that hold such folders.
      out: made if needed; what an older report left there is written over.

    Raises:
      ConfigError: a folder that is none of these.
    """
    found = find_folders(given)
    runs = [read_run(one) for one in found if one.kind == FolderKind.RUN]
    others = [one for one in found if one.kind != FolderKind.RUN]
    out.mkdir(parents=True, exist_ok=True)
    pages = [write_run(_page(run.found, out), run) for run in runs]
    pages += [WRITERS[one.kind](_page(one, out), one) for one in others]
    index = write_index(Page(out, TITLE), runs, others)
    missing = tuple((run.found.name, one.what) for run in runs for one in run.missing)
    return Site(index, (index, *pages), missing)


def _page(found: ResultFolder, out: Path) -> Page:
    return Page(out / found.slug, found.name, (Link(TITLE, f"../{PAGE}"),))
