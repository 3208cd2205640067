"""Work spread over a Ray cluster: the same results as one process gives, whatever happens to the workers."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from conftest import SMALL, contents, refuses, tfen
from films import still, write_film

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.extra("ray")
RUN = [*SMALL, "--folds.count", "3"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A cluster of two nodes on this machine; yields its address."""
    from ray.cluster_utils import Cluster

    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="disabled", OMP_NUM_THREADS="1")
    two = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    two.add_node(num_cpus=1)
    two.wait_for_nodes()
    yield two.address
    two.shutdown()


def workers() -> list[psutil.Process]:
    """Workers of Ray that are at a task of ours."""
    out = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if line and line[0].startswith("ray::_do"):
            out.append(process)
    return out


def test_folds_on_two_nodes_give_the_files_of_one_process_though_a_worker_is_killed(
    tiny_set: Path, tmp_path: Path, cluster: str
) -> None:
    assert tfen("crossval", tiny_set, tmp_path / "serial", *RUN).returncode == 0
    run = tmp_path / "spread"
    command = [sys.executable, "-m", "tfen.cli", "crossval", str(tiny_set), str(run), *RUN, "--ray", cluster]
    work = subprocess.Popen(
        [*command, "--checkpoint-minutes", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 400
    while not list(run.glob("fold-*/checkpoint/*.safetensors")):
        assert work.poll() is None, work.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    victims = workers()
    assert victims
    victims[0].send_signal(signal.SIGKILL)
    said, errors = work.communicate(timeout=200)
    assert work.returncode == 0, errors
    assert "accuracy" in said
    assert contents(run) == contents(tmp_path / "serial")


def test_variants_are_spread_too(tiny_set: Path, tmp_path: Path, cluster: str) -> None:
    variants = ["--variants", "without-adversarial", "without-3d", "--folds.count", "2", *SMALL]
    done = tfen("compare", tiny_set, tmp_path / "spread", *variants, "--ray", cluster)
    assert done.returncode == 0, done.stderr
    assert tfen("compare", tiny_set, tmp_path / "serial", *variants).returncode == 0
    for name in ("without-3d/predictions.csv", "without-adversarial/summary.json", "comparison/comparison.csv"):
        assert (tmp_path / "spread" / name).read_bytes() == (tmp_path / "serial" / name).read_bytes()


def test_films_are_spread_and_one_that_cannot_be_read_is_told_of(
    tmp_path: Path, actors: Path, weights: Path, cluster: str
) -> None:
    films = tmp_path / "films"
    films.mkdir()
    write_film(films / "one.mp4", *still(actors, 1.2))
    shutil.copy(films / "one.mp4", films / "three.mp4")
    (films / "two.mp4").write_bytes(b"no film")
    settings = ["--weights", weights, "--annotate", "--elan", "--boris"]
    for out, more in (("serial", []), ("spread", ["--ray", cluster])):
        done = tfen("analyze", films, "--out", tmp_path / out, *settings, *more)
        assert done.returncode == 2, done.stderr
        assert "two.mp4" in done.stderr
    serial, spread = (contents(tmp_path / name) for name in ("serial", "spread"))
    assert set(serial) == set(spread)
    assert not [
        name for name in serial if serial[name] != spread[name] and not name.startswith(("films", "boris", "elan"))
    ]
    again = tfen("analyze", films, "--out", tmp_path / "spread", *settings, "--ray", cluster)
    assert "3 of 3 files: done before" in again.stderr
    assert contents(tmp_path / "spread") == spread


def test_what_cannot_be_spread_is_refused(tiny_set: Path, tmp_path: Path, cluster: str) -> None:
    refuses("crossval", tiny_set, tmp_path / "a", *RUN, "--ray", "127.0.0.1:1", says="no Ray cluster at 127.0.0.1:1")
    refuses(
        "crossval",
        tiny_set,
        tmp_path / "b",
        *RUN,
        "--ray",
        cluster,
        "--ray-gpus",
        "1",
        says="no machine of the cluster",
    )
    refuses("analyze", "0", "--out", tmp_path / "c", "--ray", cluster, says="0 is a camera")
    wrong = refuses("crossval", tiny_set, tmp_path / "d", *SMALL, "--ray", cluster, "--folds.count", "40")
    assert "subjects" in wrong
