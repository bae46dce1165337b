"""What the options for several processes accept."""

import argparse

import pytest

from mgajax.distributed import job
from mgajax.errors import ConfigError


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    job.add_job_options(parser)
    return parser.parse_args(words)


def test_a_run_of_one_process_joins_no_other() -> None:
    arguments = parsed()
    assert not job.is_launcher(arguments)
    job.join_others(arguments)


def test_it_starts_the_others_or_is_one_of_them() -> None:
    assert job.is_launcher(parsed("--processes", "2"))
    with pytest.raises(ConfigError, match="--processes starts all of them"):
        job.is_launcher(parsed("--processes", "2", "--distributed"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--coordinator", "a:1"), "--coordinator, --num_processes and --process_id together"),
        (("--distributed", "--notice", "0"), "--notice 0: give a number of seconds above 0"),
    ],
)
def test_an_incomplete_description_of_a_process_is_refused(
    words: tuple[str, ...], expected: str
) -> None:
    with pytest.raises(ConfigError, match=expected):
        job.join_others(parsed(*words))
