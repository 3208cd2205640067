"""Trains in children of this process and kills them at random instants; a test runs it as a program.

usage: python killing.py SET OUT KILLS     (prints a line for each kill, and at the end how many trainings were whole)
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from tfen.config import make_settings
from tfen.data.prepared import open_set
from tfen.training.crossval import begin, finish

CHANGES = {
    "model": {"width": 8, "image_size": 32, "frames": 2, "adversary_dropout": 0.2},
    "train": {
        "epochs": 3,
        "batch_size": 4,
        "device": "cpu",
        "optimiser": "adamw",
        "lr": 0.001,
        "adversary_interval": 2,
        "average": 1.0,
    },
    "face": {"epochs": 2, "batch_size": 8, "lr": 0.003},
    "folds": {"count": 2, "validation_share": 0.3},
}


def start(folder: Path, out: Path) -> int:
    """Start a cross-validation in a child; return its process id."""
    child = os.fork()
    if child == 0:
        log = os.open(f"{out}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        code = 1
        try:
            torch.set_num_threads(1)
            finish(begin(open_set(folder), out, make_settings(changes=CHANGES), minutes=0))
            code = 0
        finally:
            os._exit(code)
    return child


def run(folder: Path, out: Path) -> float:
    """Run one to its end; return its seconds."""
    begin = time.perf_counter()
    _, status = os.waitpid(start(folder, out), 0)
    if status:
        sys.exit(f"a training failed: {Path(f'{out}.log').read_text()}")
    return time.perf_counter() - begin


def main() -> None:
    folder, root, kills = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    seconds = run(folder, root / "whole")
    rng, number = random.Random(1), 0
    killed = 0
    while killed < kills:
        out = root / f"killed-{number}"
        child = start(folder, out)
        time.sleep(rng.uniform(0, seconds))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        killed += status == signal.SIGKILL
        there = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.suffix != ".yaml")
        print(out.name, "killed at" if status == signal.SIGKILL else "was done", " ".join(there), flush=True)
        number += (out / "summary.json").exists()
    if (root / f"killed-{number}").exists():
        run(folder, root / f"killed-{number}")
        number += 1
    print(f"whole: {number}")


if __name__ == "__main__":
    main()
