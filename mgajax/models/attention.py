"""A classifier's attention as others ask for it: whether there is any, and which map is shown."""

from collections.abc import Collection
from typing import Any


def attends(model: Any) -> bool:
    """Whether a network has attention maps of its own."""
    plan = getattr(model, "plan", None)
    return plan is not None and bool(plan.stages)


def shown_map(names: Collection[str], *, guided: str | None) -> str:
    """The name of the map that is shown and scored: the one that lesions guide, else the last.

    Args:
      names: of a network's maps, one or more: "stage1", "stage2", ...
      guided: the name of the map that lesion masks supervise, if any.
    """
    return guided if guided is not None and guided in names else max(names)
