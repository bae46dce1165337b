"""Do the tests bite? Change a line at a time, by cosmic-ray, and see which changes no test notices.

    pip install -e '.[test,mutation]'
    python tests/mutation/run.py --each 25 --jobs 2 --out docs/measurements/mutation.json

Works on copies of the checkout. Goes on where it was stopped while `--workdir` is kept. Ends with a
table; the survivors stand in the JSON file with their changed lines.
"""

import argparse
import concurrent.futures
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import WorkerOutcome, WorkResult

ROOT = Path(__file__).resolve().parent.parent.parent

TARGETS = {
    "data/augmentation": "data/test_augmentation.py",
    "data/cache": "data/test_cache.py",
    "data/dataset": "data/test_dataset.py",
    "data/loader": "data/test_loader.py",
    "imaging/body": "imaging/test_body.py data/test_preparation.py",
    "data/preparation": "data/test_preparation.py data/test_restoration.py",
    "data/split_csv": "data/test_split_csv.py data/test_leaking_splits.py",
    "data/table": "data/test_table.py",
    "evaluation/bootstrap": "evaluation/test_bootstrap.py",
    "evaluation/metrics": "evaluation/test_metrics.py",
    "evaluation/overlap": "evaluation/test_overlap.py",
    "evaluation/predictions": "evaluation/test_predictions.py",
    "training/checkpoints": "training/test_checkpoints.py",
    "training/classification_losses": "training/test_classification_losses.py",
    "training/state": "training/test_steps.py",
    "training/weighting": "training/test_weighting.py",
    "models/blocks": "models/test_blocks.py models/test_resampling_2x2.py",
    "models/batch_norm": "models/test_blocks.py models/test_devices.py",
    "models/normalisation": "models/test_normalisation.py models/test_devices.py",
    "models/cbam": "models/test_registry.py models/test_blocks.py models/test_parity.py",
    "evaluation/evaluate": "evaluation/test_evaluate_by_hand.py evaluation/test_evaluate_run.py",
    "training/steps": "training/test_steps.py training/test_segmentation_steps.py",
    "training/batch_inference": "training/test_batch_inference.py",
    "training/run": "training/test_loop.py",
    "training/run_folder": "training/test_loop.py training/test_opening_runs.py",
    "training/loop": "training/test_loop.py training/test_segmentation_loop.py",
}
"""Files that changed often, the costly ones last, and the tests that a change of them should fail."""

TYPES_ONLY = re.compile(r"core/(ReplaceBinaryOperator_BitOr_|RemoveDecorator)")
"""Operators that mostly change annotations (`X | None`) or how a test is typed, not what runs."""

SURVIVED = "survived"


def main() -> int:
    """Mutate, test, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--each", type=int, default=25, help="mutants of each file")
    parser.add_argument("--jobs", type=int, default=1, help="copies that are tested side by side")
    parser.add_argument("--seed", type=int, default=0, help="which mutants are drawn")
    parser.add_argument("--only", default="", help="files whose name contains this")
    parser.add_argument("--workdir", type=Path, default=Path("mutation"), help="copies, sessions")
    parser.add_argument("--out", type=Path, required=True, help="JSON of all mutants")
    arguments = parser.parse_args()
    workdir = arguments.workdir.resolve()
    chosen = [name for name in TARGETS if arguments.only in name]
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        jobs = [
            pool.submit(_mutate, name, workdir, each=arguments.each, seed=arguments.seed)
            for name in chosen
        ]
        mutants = [mutant for each in jobs for mutant in each.result()]
    command = " ".join(["python tests/mutation/run.py", *sys.argv[1:]])
    content = {"command": command, "commit": _git("rev-parse", "HEAD"), "mutants": mutants}
    arguments.out.write_text(json.dumps(content, indent=1) + "\n")
    print(_table(mutants))
    return 0


def _mutate(name: str, workdir: Path, *, each: int, seed: int) -> list[dict[str, Any]]:
    """Every drawn mutant of one file, and what became of it."""
    copy, session = workdir / name.replace("/", "_"), workdir / f"{name.replace('/', '_')}.sqlite"
    configuration = session.with_suffix(".toml")
    if not session.exists():
        copy_checkout(copy)
        configuration.write_text(_configuration(name))
        _cosmic_ray("init", str(configuration), str(session), folder=copy)
        _draw(session, count=each, seed=seed)
        _cosmic_ray("baseline", str(configuration), folder=copy)  # ends here if the tests fail
    _cosmic_ray("exec", str(configuration), str(session), folder=copy)
    with use_db(str(session), WorkDB.Mode.open) as db:
        results = dict(db.results)
        mutants = [_described(item.mutations[0], results[item.job_id]) for item in db.work_items]
    return [mutant for mutant in mutants if mutant["outcome"] != WorkerOutcome.SKIPPED]


def _configuration(name: str) -> str:
    files = " ".join(f"tests/{file}" for file in TARGETS[name].split())
    command = f"{sys.executable} -m pytest -x -p no:cacheprovider {files}"
    return f"""\
[cosmic-ray]
module-path = "mgajax/{name}.py"
timeout = 600.0
excluded-modules = []
test-command = "{command}"

[cosmic-ray.distributor]
name = "local"
"""


def _draw(session: Path, *, count: int, seed: int) -> None:
    """Leave `count` mutants, each at a place of its own, and skip the rest."""
    dice = random.Random(seed)
    with use_db(str(session), WorkDB.Mode.open) as db:
        items = [i for i in db.work_items if not TYPES_ONLY.match(i.mutations[0].operator_name)]
        places: dict[Any, list[Any]] = {}
        for item in sorted(items, key=lambda i: (i.mutations[0].start_pos, str(i.mutations[0]))):
            places.setdefault(item.mutations[0].start_pos, []).append(item)
        drawn = dice.sample(sorted(places), min(count, len(places)))
        chosen = {dice.choice(places[place]).job_id for place in drawn}
        skipped = [item.job_id for item in db.work_items if item.job_id not in chosen]
        db.set_multiple_results(skipped, WorkResult(worker_outcome=WorkerOutcome.SKIPPED))


def _described(mutation: Any, result: WorkResult) -> dict[str, Any]:
    outcome = result.test_outcome or result.worker_outcome
    changed = [line for line in (result.diff or "").splitlines() if re.match(r"[-+](?![-+])", line)]
    return {
        "file": str(mutation.module_path),
        "line": mutation.start_pos[0],
        "operator": mutation.operator_name.removeprefix("core/"),
        "outcome": str(outcome.value),
        "change": changed if outcome.value == SURVIVED else [],
    }


def _table(mutants: list[dict[str, Any]]) -> str:
    """Mutants and survivors of each file."""
    made = Counter(mutant["file"] for mutant in mutants)
    left = Counter(mutant["file"] for mutant in mutants if mutant["outcome"] == SURVIVED)
    rows = [f"| {file} | {n} | {n - left[file]} | {left[file]} |" for file, n in made.items()]
    total = f"| all | {made.total()} | {made.total() - left.total()} | {left.total()} |"
    return "\n".join(["| file | mutants | killed | survived |", "|---|--:|--:|--:|", *rows, total])


def copy_checkout(copy: Path) -> None:
    """Tracked and new files, as they are now; the links to what lies beside the checkout."""
    shutil.rmtree(copy, ignore_errors=True)
    names = _git("ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    for name in filter(lambda name: (ROOT / name).is_file(), names):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name)
    beside = copy.parent / "shared"
    if (ROOT.parent / "shared").is_dir() and not beside.exists():
        beside.symlink_to(ROOT.parent / "shared")


def environment_for(copy: Path) -> dict[str, str]:
    """The copy's modules come first; programs compiled for one copy serve the others."""
    environment = os.environ | {
        "PYTHONPATH": str(copy),
        "MGAJAX_TESTS_COMPILED": str(copy.parent / "compiled"),
    }
    environment.pop("MGAJAX_TESTS", None)
    return environment


def _cosmic_ray(*words: str, folder: Path) -> None:
    command = [sys.executable, "-m", "cosmic_ray.cli", *words]
    subprocess.run(command, cwd=folder, env=environment_for(folder), check=True)


def _git(*words: str) -> str:
    process = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return process.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
