import csv
import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from filelock import FileLock
from films import make_actors, still, write_film
from running import run

from tfen.config import make_settings
from tfen.labels import EXPRESSIONS
from tfen.models.weights import build, save_network

os.environ.update(HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")
torch.set_num_threads(1)

SMALL = [
    "--model.width",
    "8",
    "--model.image-size",
    "32",
    "--model.frames",
    "3",
    "--train.epochs",
    "3",
    "--train.batch-size",
    "4",
    "--train.lr",
    "0.001",
    "--face.epochs",
    "1",
    "--face.batch-size",
    "8",
    "--train.device",
    "cpu",
]


def write_tiny_set(
    folder: Path,
    subjects: int = 4,
    expressions: tuple[str, ...] = ("anger", "happiness", "surprise"),
    frames: int = 4,
    size: int = 35,
) -> Path:
    """A prepared set laid by hand: a bright bar, whose place tells the expression, on each subject's own grey."""
    rows = []
    for s in range(subjects):
        for e, expression in enumerate(expressions):
            name = f"p{s + 1}-{expression}"
            place = folder / "frames" / name
            place.mkdir(parents=True)
            for k in range(frames):
                image = np.full((size, size, 3), min(40 + 25 * s, 215), np.uint8)
                image[4 + 9 * e : 10 + 9 * e, 4 : 8 + 6 * k] = 230
                cv2.imwrite(str(place / f"{k + 1:02d}.png"), image)
            rows.append([name, f"p{s + 1}", expression, frames, "by hand"])
    with (folder / "sequences.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["sequence", "subject", "expression", "frames", "source"], *rows])
    return folder


@pytest.fixture
def tiny_set(tmp_path: Path) -> Path:
    return write_tiny_set(tmp_path / "tiny")


def tfen(*arguments: object, cwd: Path | None = None) -> CompletedProcess[str]:
    """Run the command as a user does."""
    return run([str(argument) for argument in arguments], cwd)


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    """What lies in a folder and below it."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refuses(*arguments: object, code: int = 2, says: str = "") -> str:
    """Run the command and check that it ends with one clear sentence; returns the sentence."""
    done = tfen(*arguments)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert lines[-1].startswith("tfen: "), done.stderr
    assert says in lines[-1]
    return lines[-1]


def shared_folder(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A prepared set that is made once for all test processes."""
    base = factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with FileLock(str(shared) + ".lock"):
        if not (shared / "prepared.json").exists():
            make(shared)
    return shared


@pytest.fixture(scope="session")
def synthetic_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two synthetic subjects."""

    def make(folder: Path) -> None:
        done = tfen("synth", folder, "--subjects", 2, "--frames", 3, "--size", 48, "--seed", 3, "--jobs", 1)
        assert done.returncode == 0, done.stderr

    return shared_folder(tmp_path_factory, "synthetic", make)


@pytest.fixture(scope="session")
def actors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_folder(tmp_path_factory, "actors", make_actors)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network with random weights: what it says means nothing, but it says it reliably."""
    folder = tmp_path_factory.mktemp("weights")
    small = {"width": 8, "image_size": 32, "frames": 5, "variant": "tfen"}
    settings = make_settings("release", {"model": small, "data": {"normalise": "frame"}})
    torch.manual_seed(3)
    network = build(settings, len(EXPRESSIONS), 0)
    for part in network.modules():  # as after training: no statistic is 0 or 1
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.normal_(part.weight, 1.0, 0.3)
    save_network(folder, network, settings, EXPRESSIONS, {"temperature": 0.5})
    return folder


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a package of an extra where that is not installed."""
    for mark in item.iter_markers("extra"):
        if find_spec(mark.args[0]) is None:
            pytest.skip(f"needs {mark.args[0]}")


@pytest.fixture(scope="module")
def server(weights: Path) -> Iterator[Any]:
    """A server of the page, for films of four megabytes and twenty seconds at most."""
    from serving import Limits, Server

    one = Server(weights, Limits(megabytes=4, seconds=20))
    yield one
    one.stop()


@pytest.fixture(scope="session")
def film(actors: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of one face."""
    return write_film(tmp_path_factory.mktemp("films") / "a.mp4", *still(actors, 2.0))
