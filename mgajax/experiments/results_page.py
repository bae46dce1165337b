"""`results.md`: the page of an experiment, made from its `results.json` alone."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from mgajax.reporting.tables.measurements import Measurement, markdown_tables

READING = (
    "In brackets: of an arm, the 95 % interval of the mean over seeds, over patients with the trained "
    "networks as they are; of a difference, that over seeds and patients, bold where it excludes zero "
    "and no seed is of the other sign, and after `networks` that over patients alone. After ±: "
    "standard deviation over seeds. In percent, unless it is a count."
)


def results_page(content: Mapping[str, Any]) -> str:
    """The Markdown of an experiment's results.

    Args:
      content: of `results.json`.

    Raises:
      KeyError, TypeError: a key is missing, or the content is no experiment's.
    """
    rows = [Measurement.from_json(row) for row in content["rows"]]
    source = f" ({content['source']})" if content["source"] else ""
    counts = Counter(row.status for row in rows)
    tally = ", ".join(f"{count} numbers {status}" for status, count in sorted(counts.items()))
    failed = [run for run in content["runs"] if run["status"] == "failed"]
    return "\n\n".join(
        [
            f"# {content['title']}{source}",
            f"    {content['command']}",
            f"{tally}. {READING}",
            markdown_tables(rows),
            *(f"![]({path})" for path in content["figures"]),
            *content["notes"],
            *(f"Failed: {run['arm']}, seed {run['seed']}: {run['reason']}" for run in failed),
        ]
    )
