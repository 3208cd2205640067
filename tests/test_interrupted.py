"""Trainings that are killed, stopped, damaged, or shared by several processes."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import SMALL, contents, refuses, tfen, write_tiny_set

HERE = Path(__file__).parent
EVERY_STEP = ["--checkpoint-minutes", "0"]


def small(epochs: int) -> list[str]:
    """The small settings with another number of epochs."""
    place = SMALL.index("--train.epochs")
    return [*SMALL[: place + 1], str(epochs), *SMALL[place + 2 :]]


LONG = [*small(400), "--folds.count", "2", *EVERY_STEP]


def test_trainings_that_are_killed_at_random_instants_end_with_the_same_bytes(tmp_path: Path) -> None:
    tiny_set = write_tiny_set(tmp_path / "tiny", subjects=4, frames=3)
    command = [sys.executable, str(HERE / "killing.py"), str(tiny_set), str(tmp_path), "20"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("killed at") == 20
    whole = contents(tmp_path / "whole")
    assert {"fold-00/model.safetensors", "fold-01/faces.safetensors", "predictions.csv", "summary.json"} < set(whole)
    assert not any("checkpoint" in name for name in whole)
    count = int(re.findall(r"whole: (\d+)", done.stdout)[0])
    assert count >= 1
    for k in range(count):
        again = contents(tmp_path / f"killed-{k}")
        assert set(again) == set(whole)
        assert not [name for name in whole if again[name] != whole[name]]


def begin(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tfen.cli", *(str(argument) for argument in arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    # a session of its own: interruptions are not ignored there, whatever started the tests
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True)


def wait_for(path: Path, work: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert work.poll() is None, work.stderr.read() if work.stderr else ""
        time.sleep(0.05)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_training_that_is_asked_to_stop_saves_and_goes_on(
    tiny_set: Path, tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    out = tmp_path / "weights"
    settings = [*small(400), "--checkpoint-minutes", "60"]
    work = begin("train", tiny_set, out, *settings)
    wait_for(out / "checkpoint/config.yaml", work)
    time.sleep(1.5)
    work.send_signal(sent)
    _, said = work.communicate(timeout=60)
    assert work.returncode == code, said
    assert "the same command goes on" in said
    assert "Traceback" not in said
    saved = sorted(path.name for path in (out / "checkpoint").glob("*.safetensors"))
    assert saved
    assert not (out / "config.json").exists()
    other = refuses("train", tiny_set, out, *small(3), says="train.epochs = 400, not 3")
    assert "another folder" in other


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before_it(tiny_set: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    settings = [*small(15), *EVERY_STEP]
    assert tfen("train", tiny_set, whole, *settings).returncode == 0
    for name, damage in (("cut", lambda data: data[:-100]), ("changed", lambda data: data[:-64] + b"x" * 64)):
        out = tmp_path / name
        work = begin("train", tiny_set, out, *settings)
        last = out / "checkpoint/game.safetensors"
        wait_for(out / "checkpoint/game-before.safetensors", work)
        work.kill()
        work.communicate()
        last.write_bytes(damage(last.read_bytes()) if last.exists() else b"")
        done = tfen("train", tiny_set, out, *settings)
        assert done.returncode == 0, done.stderr
        assert "game.safetensors is damaged" in done.stderr
        assert contents(out) == contents(whole)


def test_a_run_goes_on_with_the_figures_from_before(tiny_set: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    work = begin("crossval", tiny_set, run, *LONG)
    wait_for(run / "fold-00/checkpoint/game-before.safetensors", work)
    work.send_signal(signal.SIGTERM)
    work.communicate(timeout=60)
    before = (run / "fold-00/metrics.jsonl").read_text().splitlines()
    work = begin("crossval", tiny_set, run, *LONG)
    deadline = time.monotonic() + 60
    while len((run / "fold-00/metrics.jsonl").read_text().splitlines()) <= len(before) + 2:
        assert work.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    work.kill()
    work.communicate()
    lines = [json.loads(line) for line in (run / "fold-00/metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, len(lines) + 1))
    assert [json.dumps(line) for line in lines[: len(before)]] == before


def of_session(leader: int) -> list[int]:
    """Return the processes of a session."""
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, *fields = place.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[2]) == leader and state != "Z":
            found.append(int(place.parent.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads the processes of Linux")
@pytest.mark.parametrize("command", ["synth", "prepare"])
def test_workers_end_with_the_process_that_started_them(tmp_path: Path, command: str) -> None:
    out = tmp_path / "out"
    if command == "synth":
        work = begin("synth", out, "--subjects", "60", "--frames", "6", "--size", "64", "--jobs", "2")
    else:
        folder = tmp_path / "photographs"
        for k in range(4000):
            place = folder / ("happiness", "anger")[k % 2] / f"{k}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(place), np.full((8, 8), 90, np.uint8))
        work = begin("prepare", "folder", folder, out, "--detector", "none", "--jobs", "2")
    wait_for(out / "frames", work)
    assert len(of_session(work.pid)) >= 3
    work.kill()
    work.wait()
    deadline = time.monotonic() + 20
    while of_session(work.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not of_session(work.pid)
