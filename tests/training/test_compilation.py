"""Where compiled programs are kept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mgajax.training.compilation import cache_folder

PROGRAM = """
import sys
import jax
from mgajax.training.compilation import forget_compiled, keep_compiled
keep_compiled()
if "forget" in sys.argv:
    forget_compiled()
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.jit(lambda x: x + 1)(0.0)
print(jax.config.jax_compilation_cache_dir)
"""


def run(*words: str, environment: dict[str, str]) -> str:
    chosen_by_nobody = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        env=chosen_by_nobody | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return process.stdout.strip()


def test_programs_are_kept_under_the_users_caches(tmp_path: Path) -> None:
    folder = Path(run(environment={"XDG_CACHE_HOME": str(tmp_path)}))
    assert folder.parent == tmp_path / "mgajax"
    assert list(folder.iterdir())


def test_a_chosen_folder_stays(tmp_path: Path) -> None:
    chosen = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "chosen")}
    assert run(environment=chosen) == str(tmp_path / "chosen")


def test_a_measurement_compiles_anew(tmp_path: Path) -> None:
    folder = Path(run("forget", environment={"XDG_CACHE_HOME": str(tmp_path)}))
    assert not folder.exists() or not list(folder.iterdir())


def test_each_kind_of_processor_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = cache_folder()
    monkeypatch.setattr("mgajax.training.compilation._processor", lambda: "another")
    assert cache_folder() != folder
