"""Starting several processes on this machine."""

from pathlib import Path

import pytest

from mgajax.distributed.launch import launch
from mgajax.errors import ConfigError, ProcessError


def test_the_first_process_that_ends_badly_is_named(tmp_path: Path) -> None:
    words = ["train", "--config", "no_such_file.py", "--workdir", str(tmp_path), "--config.a"]
    with pytest.raises(ProcessError, match=r"process \d of 2 ended with exit code 2"):
        launch(words, processes=2, logs=tmp_path / "logs")
    assert (tmp_path / "logs" / "process_1.log").is_file()


def test_one_process_is_no_launch(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--processes 1: give at least 2"):
        launch(["train"], processes=1, logs=tmp_path)
