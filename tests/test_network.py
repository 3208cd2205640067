"""No command talks to anybody unless its words say so."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from conftest import SMALL
from films import still, write_film

WATCHED = """
import sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        print("NETWORK", event, arguments[-1], flush=True)
        raise OSError("the network is closed")
sys.addaudithook(watch)
from tfen.cli import main
for line in sys.stdin.read().splitlines():
    try:
        main(line.split("\\t"))
    except SystemExit as end:
        if end.code:
            print("ENDED", end.code, line, flush=True)
"""


def watched(*commands: list[object]) -> str:
    """Run commands one after the other in a process that may open no connection; return what it printed."""
    lines = "\n".join("\t".join(map(str, command)) for command in commands)
    environment = {**os.environ, "HF_HUB_OFFLINE": "0", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", WATCHED], input=lines, capture_output=True, text=True, timeout=300, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_is_fetched_or_sent_on_the_whole_way(
    tiny_set: Path, actors: Path, weights: Path, tmp_path: Path
) -> None:
    film = write_film(tmp_path / "film.mp4", *still(actors, 0.6))
    run = tmp_path / "run"
    said = watched(
        ["info", "--preset", "synth"],
        ["synth", tmp_path / "faces", "--subjects", "1", "--frames", "2", "--size", "32", "--expressions", "anger", "fear", "--jobs", "1"],
        ["crossval", tiny_set, run, *SMALL, "--folds.count", "2"],
        ["report", run],
        ["figures", run],
        ["leakage", run],
        ["evaluate", weights, tiny_set, "--out", tmp_path / "judged"],
        ["analyze", film, "--out", tmp_path / "found", "--weights", "packaged", "--annotate"],
        ["landmarks", film, "--out", tmp_path / "points.csv"],
        ["export", weights, tmp_path / "graphs", "--to", "onnx" if find_spec("onnxscript") else "torch"],
    )  # fmt: skip
    assert "NETWORK" not in said
    assert "ENDED" not in said


def test_commands_that_say_so_do(tmp_path: Path, tiny_set: Path) -> None:
    said = watched(["evaluate", "owner/name", tiny_set, "--out", tmp_path / "out"])
    assert said.count("NETWORK") >= 1
    assert said.count("ENDED 1") + said.count("ENDED 2") == 1
