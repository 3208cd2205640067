"""Training with several processes."""

import csv
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL, write_tiny_set

from tfen.config import DataSettings
from tfen.data.clips import Clips, FrameStore
from tfen.data.prepared import open_set

HERE = Path(__file__).parent


@pytest.fixture
def free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        number: int = place.getsockname()[1]
        return number


def launch(*arguments: object, port: int) -> subprocess.CompletedProcess[str]:
    """Run a program in two processes, as `accelerate launch --multi_gpu` does on GPUs."""
    place = ["--nproc-per-node", "2", "--master-addr", "127.0.0.1", "--master-port", str(port)]
    command = [sys.executable, "-m", "torch.distributed.run", *place, *(str(argument) for argument in arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)


def test_two_processes_have_the_losses_of_one_with_the_same_batch(tmp_path: Path, free_port: int) -> None:
    program = HERE / "together.py"
    one = subprocess.run([sys.executable, program, tmp_path / "one.json"], capture_output=True, text=True)
    assert one.returncode == 0, one.stderr
    two = launch(program, tmp_path / "two.json", port=free_port)
    assert two.returncode == 0, two.stderr
    alone, together = (json.loads((tmp_path / name).read_text()) for name in ("one.json", "two.json"))
    assert (alone["processes"], together["processes"]) == (1, 2)
    assert len(alone["steps"]) == len(together["steps"]) == 24
    for k, (a, b) in enumerate(zip(alone["steps"], together["steps"])):
        assert a.keys() == b.keys()
        # rounding grows tenfold with every step under EC-STFL, whose steps are the last, and where features are standardised
        assert b == pytest.approx(a, rel=1e-5 if k < 22 and "twins_loss" not in a else 1e-4, abs=1e-5), k
    losses = [step["loss"] for step in alone["steps"] if "loss" in step]
    assert np.ptp(losses) > 0.01
    assert {"face_loss", "confusion_loss", "ec_stfl_loss"} <= {name for step in alone["steps"] for name in step}


def test_two_processes_cross_validate_and_one_writes(tmp_path: Path, free_port: int) -> None:
    tiny_set, run = write_tiny_set(tmp_path / "tiny", subjects=6), tmp_path / "run"
    done = launch("-m", "tfen.cli", "crossval", tiny_set, run, *SMALL, "--folds.count", "2", port=free_port)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("fold 1: ") == 1
    with (run / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["sequence"] for row in rows] == [sequence.name for sequence in open_set(tiny_set).sequences]
    assert len({row["sequence"] for row in rows}) == 18
    figures = json.loads((run / "summary.json").read_text())
    assert figures["accuracy"] == pytest.approx(np.mean([row["true"] == row["predicted"] for row in rows]))
    assert not list(run.glob("fold-*/checkpoint"))


def test_processes_share_every_batch_and_see_what_one_process_sees(tmp_path: Path) -> None:
    found = open_set(write_tiny_set(tmp_path / "tiny", subjects=5))
    for augment in ("paper", "strong"):
        store = FrameStore(found, 32, DataSettings(augment=augment))  # type: ignore[arg-type]
        whole = list(Clips(store, list(found.sequences), 3, 32).training(2, 6, 1))
        parts = [list(Clips(store, list(found.sequences), 3, 32, part=(k, 2)).training(2, 6, 1)) for k in (0, 1)]
        assert [len(batch.sequences) for batch in whole] == [6, 6, 3]
        for one, left, right in zip(whole[:2], *parts, strict=True):
            both = left.sequences + right.sequences
            assert both == one.sequences[: len(both)]
            assert len(left.sequences) == len(right.sequences) >= 2
            pixels = np.concatenate([left.clips, right.clips])
            np.testing.assert_allclose(pixels, one.clips[: len(both)], atol=1e-5)
        tested = [
            [
                sequence.name
                for batch in Clips(store, list(found.sequences), 3, 32, part=(k, 2)).testing(4)
                for sequence in batch.sequences
            ]
            for k in (0, 1)
        ]
        assert sorted(tested[0] + tested[1]) == sorted(sequence.name for sequence in found.sequences)
