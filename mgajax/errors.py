"""Errors that a user can act on.

Each message names the file or key, the value found, what was expected, and the fix. The command
line prints the message alone and exits with `exit_code`; a traceback needs `--debug`.
"""


class MgajaxError(Exception):
    """Base of every error that is the input's fault and not a defect of ours."""

    exit_code: int = 1


class ConfigError(MgajaxError, ValueError):
    """A configuration key, option or argument has an unusable name or value."""

    exit_code = 2


class DataError(MgajaxError, ValueError):
    """A file, table, image or built data set is missing, damaged or of the wrong form."""


class LeakageError(DataError):
    """One patient stands in more than one split."""


class CheckpointError(MgajaxError, RuntimeError):
    """A checkpoint cannot be written or read; what was complete before is still there."""


class ExportError(MgajaxError, RuntimeError):
    """An exported file cannot be made, or does not compute what the checkpoint does."""


class ProcessError(MgajaxError, RuntimeError):
    """One of several processes of a run ended badly."""


class TrainingError(MgajaxError, RuntimeError):
    """Training cannot go on (for example: the loss is not finite)."""


def nearest(name: str, known: list[str] | tuple[str, ...]) -> str:
    """A hint for a misspelt `name`: `did you mean 'x'? ` or the empty string, then all of `known`."""
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}valid: {', '.join(known)}"


def quantity(number: int, noun: str) -> str:
    """A number with its noun in the right form: "1 slice", "1,234 slices"; "series" stays as it is."""
    plural = noun if noun.endswith("s") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"
