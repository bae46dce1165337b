"""Checkpoints in an object store: an emulated one, which speaks what the real one speaks."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from session import NARROW

pytestmark = pytest.mark.slow(finds="a path that is opened as a local file, not in the bucket")

STORE = """
import sys
from gcp_storage_emulator.handlers import objects
from gcp_storage_emulator.server import create_server

send = objects.download

def download(request, response, storage, *args, **kwargs):
    # The emulator forgets what the real store tells with every object: its generation.
    send(request, response, storage, *args, **kwargs)
    where = request.params["bucket_name"], request.params["object_id"]
    if response.status < 400:
        response["x-goog-generation"] = storage.get_file_obj(*where)["generation"]

objects.download = download
create_server("127.0.0.1", int(sys.argv[1]), in_memory=True, default_bucket="bucket").run()
"""


@pytest.fixture
def store(unused_port: int) -> Iterator[dict[str, str]]:
    """An empty bucket, and the environment of a process that uses it."""
    pytest.importorskip("gcsfs", reason="needs gcsfs")
    pytest.importorskip("gcp_storage_emulator", reason="needs gcp-storage-emulator")
    server = subprocess.Popen(
        [sys.executable, "-c", STORE, str(unused_port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{unused_port}"
    yield {"STORAGE_EMULATOR_HOST": address, "TENSORSTORE_GCS_HTTP_URL": address}
    server.kill()
    server.wait()


def run(words: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mgajax", *words],
        env=os.environ | {"JAX_PLATFORMS": "cpu"} | environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_a_run_keeps_its_checkpoints_in_a_bucket(
    phantom: Path, tmp_path: Path, store: dict[str, str]
) -> None:
    def train(workdir: Path, *more: str) -> subprocess.CompletedProcess[str]:
        words = [
            "train",
            f"--config={NARROW / 'resnet18.py'}",
            f"--config.data.dir={phantom}",
            "--config.preparation.image_size=32",
            "--config.batch_size=8",
            "--config.checkpoint_every=2",
            f"--workdir={workdir}",
        ]
        return run([*words, *more], store)

    bucket = "--config.checkpoint_dir=gs://bucket/run"
    first = train(tmp_path / "a", bucket, "--config.max_steps=7", "--processes=2")
    assert first.returncode == 0, first.stderr
    assert not (tmp_path / "a" / "checkpoints").exists()

    # Another machine, alone and without the folder of the first: it goes on from the bucket.
    again = train(tmp_path / "b", bucket, "--config.max_steps=7")
    assert again.returncode == 0, again.stderr
    assert "at step 7 of 7" in again.stderr

    evaluated = run(["evaluate", f"--workdir={tmp_path / 'a'}"], store)
    assert evaluated.returncode == 0, evaluated.stderr
    assert "accuracy" in evaluated.stdout.lower()

    other = train(tmp_path / "c", bucket, "--config.max_steps=7", "--config.seed=5")
    assert other.returncode != 0
    assert "saved by a run with other settings" in other.stderr
