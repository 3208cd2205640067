"""Damaged files of every kind: one sentence or a result, never a traceback, a hang or a memory without bounds.

200 mutations in the quick tests; `make test-all` makes 2,000 more.
"""

import re
import shutil
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import tfen, write_tiny_set
from films import still, write_film
from test_damage import lay

from tfen import cli
from tfen.models.seresnet import LowerHalf
from tfen.training.checkpoints import Checkpointer

SECONDS = 60
MEMORY = 1500
"""MiB by which this process may grow at most over all mutations."""
Command = Callable[[Path], list[str]]


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Change a file at one to three places, as bad disks, bad transfers and bad editors do."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at, length = (int(rng.integers(0, len(out) + 1)) for _ in range(2))
        length = min(length, int(2 ** rng.uniform(0, 12)))
        way = int(rng.integers(10))
        if way == 0:
            del out[at:]
        elif way == 1:
            del out[at : at + length]
        elif way == 2:
            out[at:at] = rng.bytes(length)
        elif way == 3:
            out[at : at + length] = rng.bytes(length)
        elif way == 4:
            out[at:at] = out[at : at + length]
        elif way == 5:
            out[at : at + length] = bytes(length)
        elif way == 6 and at < len(out):
            out[at] ^= 1 << int(rng.integers(8))
        elif way == 7:
            numbers = list(re.finditer(rb"-?\d+", bytes(out)))
            if numbers:
                chosen = numbers[int(rng.integers(len(numbers)))]
                other = (b"-1", b"0", b"1e99", b"nan", b"99999999999999999999", b"inf", b"", b"1.5")
                out[chosen.start() : chosen.end()] = other[int(rng.integers(len(other)))]
        elif way == 8:
            words = (b"\x00", b"\xff\xfe", b'"', b",", b"\n", b"../..", "ß\u202e".encode(), b"{", b"&x;", b"[" * 3000)
            out[at:at] = words[int(rng.integers(len(words)))]
        elif way == 9:
            lines = bytes(out).split(b"\n")
            lines.insert(int(rng.integers(len(lines))), lines[int(rng.integers(len(lines)))])
            out[:] = b"\n".join(lines)
    return bytes(out)


@pytest.fixture(scope="module")
def kinds(
    tmp_path_factory: pytest.TempPathFactory, weights: Path, actors: Path, synthetic_set: Path
) -> dict[str, tuple[Path, tuple[str, ...], Command]]:
    """For each kind of input: a good one, patterns of the files to damage, and the command that reads it."""
    root = tmp_path_factory.mktemp("good")
    tiny = write_tiny_set(root / "set")
    run = root / "run"
    small = ["--model.width", "8", "--model.image-size", "32", "--model.frames", "2", "--train.epochs", "1"]
    made = tfen("crossval", tiny, run, *small, "--train.batch-size", "4", "--face.epochs", "0", "--folds.count", "2")
    assert made.returncode == 0, made.stderr
    (root / "film").mkdir()
    write_film(root / "film/film.mp4", *still(actors, 1.2))
    (root / "photographs").mkdir()
    for path in sorted((actors / "frames/s0000-neutral").iterdir())[:2]:
        shutil.copy(path, root / "photographs" / path.name)
    shutil.copytree(weights, root / "weights")
    (root / "settings").mkdir()
    shutil.copy(run / "config.yaml", root / "settings/config.yaml")
    (root / "folds").mkdir()
    folds = root / "folds/folds.csv"
    assert tfen("folds", tiny, "--folds.count", "2", "--export", folds).returncode == 0
    avi = root / "a.avi"
    write_film(avi, [np.full((40, 40, 3), 20 * k, np.uint8) for k in range(3)], [0.0, 0.04, 0.08], "mpeg4")
    fixed = ["--folds.protocol", "file", "--folds.file"]
    cut = ["--detector", "none", "--size", "32", "--jobs", "1"]
    out: dict[str, tuple[Path, tuple[str, ...], Command]] = {
        "set": (
            tiny,
            ("*.csv", "*.png"),
            lambda place: ["evaluate", str(weights), str(place), "--out", f"{place}-out"],
        ),
        "truth": (
            synthetic_set,
            ("truth/*.json", "subjects.csv"),
            lambda place: ["evaluate", str(weights), str(place), "--out", f"{place}-out"],
        ),
        "table": (tiny, ("*.csv",), lambda place: ["folds", str(place), "--folds.count", "2"]),
        "run": (run, ("*.csv", "*.json", "*.yaml"), lambda place: ["report", str(place)]),
        "weights": (
            root / "weights",
            ("config.json", "*.safetensors"),
            lambda place: ["evaluate", str(place), str(tiny), "--out", f"{place}-out"],
        ),
        "film": (
            root / "film",
            ("*.mp4",),
            lambda place: ["analyze", str(place), "--out", f"{place}-out", "--weights", str(weights)],
        ),
        "photograph": (
            root / "photographs",
            ("*.jpg",),
            lambda place: ["analyze", str(place), "--out", f"{place}-out", "--weights", str(weights)],
        ),
        "settings": (
            root / "settings",
            ("*.yaml",),
            lambda place: [
                "info",
                "--settings",
                str(place / "config.yaml"),
                "--model.image-size",
                "32",
                "--model.width",
                "8",
            ],
        ),
        "folds": (root / "folds", ("*.csv",), lambda place: ["folds", str(tiny), *fixed, str(place / "folds.csv")]),
    }
    for layout, patterns in (
        ("ckplus", ("*.txt", "*.png")),
        ("mmi", ("*.xml", "*.avi")),
        ("oulu-casia", ("*.jpeg",)),
        ("dfew", ("*.csv", "*.jpg")),
        ("folder", ("*.jpg",)),
    ):
        lay(layout, root / layout, avi.read_bytes())
        command: Any = lambda place, layout=layout: ["prepare", layout, str(place), f"{place}-out", *cut]  # noqa: E731
        out[layout] = (root / layout, patterns, command)
    return out


def peak() -> float:
    """Return this process's peak resident memory, MiB."""
    return int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) / 1024


@pytest.fixture
def alarm() -> Iterator[None]:
    def too_long(*_: object) -> None:
        raise AssertionError(f"it took more than {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, too_long)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def fuzz(kind: tuple[Path, tuple[str, ...], Command], folder: Path, seed: int | None, capsys: Any) -> int:
    """Damage one to three files of a copy (none without a seed) and run the command on it; return its exit code."""
    good, patterns, command = kind
    place = folder / "it"
    shutil.copytree(good, place)
    files = sorted({path for pattern in patterns for path in place.rglob(pattern)})
    rng = np.random.default_rng([seed or 0, 77])
    if seed is None:
        files = []
    for path in rng.choice(np.array(files, object), min(len(files), int(rng.integers(1, 4))), replace=False):
        path.write_bytes(mutated(path.read_bytes(), rng))
    signal.alarm(SECONDS)
    try:
        cli.main(command(place))
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    signal.alarm(0)
    said = capsys.readouterr()
    assert code in (0, 1, 2), said.err
    assert code == 0 or said.err.strip(), "it failed without a word"
    assert code == 0 or seed is not None, said.err
    assert "Traceback" not in said.err
    for made in folder.iterdir():
        shutil.rmtree(made)
    return code


KINDS = ("set", "truth", "table", "run", "weights", "film", "photograph", "settings", "folds", "ckplus", "mmi", "oulu-casia", "dfew", "folder")  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "seeds", [range(15), pytest.param(range(15, 170), marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_damaged_files_get_a_sentence(
    kind: str,
    seeds: range,
    kinds: dict[str, tuple[Path, tuple[str, ...], Command]],
    tmp_path: Path,
    alarm: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert fuzz(kinds[kind], tmp_path, None, capsys) == 0
    before = peak()
    codes, failures = [], []
    for seed in seeds:
        try:
            codes.append(fuzz(kinds[kind], tmp_path, seed, capsys))
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            failures.append(
                f"seed {seed}: {type(error).__name__} at {place.filename}:{place.lineno}: {str(error)[:200]}"
            )
            for made in tmp_path.iterdir():
                shutil.rmtree(made)
    assert not failures, "\n".join(failures)
    assert 2 in codes or kind in ("oulu-casia", "folder")  # OpenCV shows what it can of a damaged JPEG
    assert peak() - before < MEMORY


@pytest.mark.parametrize(
    "seeds", [range(20), pytest.param(range(20, 200), marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_damaged_checkpoints_are_passed_over(seeds: range, tmp_path: Path) -> None:
    network = LowerHalf(8)
    checkpointer = Checkpointer(tmp_path / "kept")
    for step in (1, 2):
        checkpointer.save("game", {"network": network}, {"step": step})
    path = tmp_path / "kept/game.safetensors"
    good = path.read_bytes()
    assert checkpointer.restore("game", {"network": LowerHalf(8)}) == {"step": 2}
    for seed in seeds:
        bad = mutated(good, np.random.default_rng([seed, 78]))
        path.write_bytes(bad)
        restored = checkpointer.restore("game", {"network": LowerHalf(8)})
        assert restored == {"step": 2 if bad == good else 1}
