"""Whether two checkouts of the project compute the same: losses, and every byte that they write.

usage: python benchmarks/same.py CHECKOUT_A CHECKOUT_B [PART ...]

Both make the same small synthetic sets, trainings, runs, reports and analyses through the command line, each in a
folder of its own; PART names some of the parts below. Prints same or different for each item, and which files differ;
exits with 0 if everything is the same. What is a time, a version or a place on the disk is left out.
"""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

SMALL = (
    "--model.width 8 --model.image-size 32 --model.frames 3 --train.batch-size 6 --train.lr 0.01 --face.epochs 1 "
    "--face.batch-size 8 --train.device cpu --folds.count 2"
)
STEPS = f"{SMALL} --folds.only 0 --folds.select last --train.epochs 10"
"""Six training sequences, six in a batch: an epoch is a step, and the log's means are the step's figures."""
FEW = STEPS.replace("--train.epochs 10", "--train.epochs 3")
VARIANTS = (
    "tfen",
    "without-decoupler",
    "without-adversarial",
    "without-facial-decoupling",
    "without-3d",
    "resnet18-lstm",
    "3d-resnet18",
    "r3d18",
    "c3d",
    "p3d",
    "resnet18-lstm+ec-stfl",
    "c3d+ec-stfl",
)
SETTINGS = {
    "turns-epochs": "--train.turns epochs",
    "turns-three": "--train.turns three-of-adversary",
    "interval": "--train.adversary-interval 2 --train.adversary-lr 0.02 --train.adversary-statistics batch",
    "average": "--train.average 2 --train.schedule cosine",
    "weights": "--train.class-weights balanced --train.label-smoothing 0.1 --data.sampling balanced",
    "strong": "--data.augment strong --data.normalise local --data.grey",
    "mild": "--data.augment mild --data.augment-ramp 2 --data.normalise clip --data.no-bend",
    "frame": "--data.normalise frame --data.stills 0.4 --data.backwards 0.4 --data.align eyes",
    "sequence": "--data.face-label sequence --face.subjects all --folds.protocol sequences",
}


def commands() -> dict[str, list[str]]:
    """Return the command lines of every part, in the order in which they run."""
    losses = [
        f"crossval set losses/{norm}-{optimiser} {STEPS} --train.norm {norm} --train.optimiser {optimiser}"
        for norm in ("squared", "absolute", "cross-entropy")
        for optimiser in ("sgd", "adamw")
    ]
    folds = [
        f"folds set --export folds/{name}.csv --folds.protocol {name} --folds.count 2 --folds.select {select}"
        for name, select in (
            ("subjects", "validation"), ("leave-one-subject-out", "last"), ("sequences", "last"),
        )
    ]  # fmt: skip
    return {
        "sets": [
            "synth set --subjects 4 --frames 4 --size 48 --seed 1 --jobs 1 --expressions anger happiness neutral "
            "--contact-sheet sheet.png",
            "synth heads --subjects 3 --frames 5 --size 150 --framing 1.6 --seed 5 --jobs 1 --expressions neutral happiness",
            "synth wide --subjects 2 --frames 3 --size 40 --seed 2 --jobs 1 --expressions fear --variation shiny "
            "--dynamics onset-apex-offset apex-neutral held speaking",
            "synth layouts/mmi --layout mmi --subjects 1 --frames 3 --size 60 --jobs 1",
            "synth layouts/ckplus --layout ckplus --subjects 1 --frames 2 --size 60 --jobs 1",
            "prepare ckplus layouts/ckplus prepared --jobs 1 --size 40",
        ],
        "losses": losses,
        "settings": [f"crossval set settings/{name} {FEW} {flags}" for name, flags in SETTINGS.items()],
        "precision": [f"crossval set settings/bf16 {FEW} --train.precision bf16 --train.lr-step 2"],
        "variants": [f"crossval set variants/{name} {FEW} --variant {name}" for name in VARIANTS],
        "folds": [
            *folds,
            "crossval set by-file --folds.protocol file --folds.file folds/subjects.csv "
            + FEW.replace("--folds.count 2", ""),
        ],
        "run": [
            f"crossval set run {SMALL} --train.epochs 3",
            f"crossval set optimistic {SMALL} --train.epochs 2 --folds.select best-on-test",
            f"crossval set plain {SMALL} --train.epochs 1 --preset synth --folds.exclude neutral --init run",
            "info --preset release --json",
        ],
        "report": ["report run", "report optimistic", "figures run --beside run", "leakage run"],
        "compare": [
            f"compare set comparison {SMALL} --train.epochs 2 --repeats 2 --variants tfen without-3d c3d+ec-stfl",
            f"sweep set sweep {FEW} --over train.alpha --values 1 5",
        ],
        "weights": [
            f"train set weights {SMALL} --train.epochs 2",
            f"train set further {SMALL} --train.epochs 1 --init weights --folds.select last",
            "average weights weights --out mean --check set",
            "evaluate weights wide --out judged-wide",
            "evaluate weights set --out judged",
            "evaluate weights set --out judged-six --looks 6",
            "export weights half --to torch --half",
            "train-landmarks heads landmarks --epochs 2",
        ],
        "analysis": [
            "analyze film.mp4 heads/frames/s0000-happiness --out analysis --annotate --elan --boris",
            "landmarks film.mp4 --out landmarks.csv",
        ],
    }


def work(part: str) -> None:
    """Run a part's command lines with the package that is on the path, in this folder."""
    from tfen.cli import main

    if part == "analysis":
        make_film(Path("film.mp4"))
    said: dict[str, str] = {}
    for line in commands()[part]:
        begin = time.monotonic()
        said[line] = answer(partial(main, line.split()))
        print(f"{time.monotonic() - begin:6.1f} s  {line}", file=sys.stderr, flush=True)
    place = Path("said", f"{part}.json")
    place.parent.mkdir(exist_ok=True)
    place.write_text(json.dumps(said, indent=1))


def answer(do: Callable[[], None]) -> str:
    """Return what a command prints, and its exit code where it is not 0."""
    out, code = io.StringIO(), ""
    with contextlib.redirect_stdout(out):
        try:
            do()
        except SystemExit as error:
            code = f"exit {error.code}" if error.code else ""
    return out.getvalue() + code


def make_film(path: Path) -> None:
    """Write a film of a synthetic head that smiles."""
    import av
    import cv2
    import numpy as np

    files = [file for name in ("neutral", "happiness") for file in sorted(Path(f"heads/frames/s0001-{name}").iterdir())]
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for file in [file for file in files for _ in range(2)]:
            picture = np.full((240, 320, 3), 90, np.uint8)
            picture[50:200, 90:240] = cv2.imread(str(file))
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        out.mux(stream.encode(None))


TEXTS = (".json", ".jsonl", ".yaml", ".csv", ".html", ".tex", ".xml", ".eaf", ".boris", ".txt")
CHANGING = re.compile(r'("?(?:tfen|version|date|created|seconds|frames_per_second|DATE)"?\s*[:=]\s*)("[^"]*"|[^\s,}]+)')


def content(path: Path, root: Path) -> bytes:
    """Return what is compared of a file: all of it, less times, versions and places."""
    data = path.read_bytes()
    if path.suffix not in TEXTS:
        return data
    text = data.decode().replace(str(root.resolve()), "WORK")
    return CHANGING.sub(r"\1...", text).encode()


def files(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): content(path, root) for path in sorted(root.rglob("*")) if path.is_file()
    }


def item(name: str) -> str:
    """Return the item that a file belongs to: its run, set or folder."""
    folders = name.split("/")
    return "/".join(folders[:2]) if folders[0] in ("losses", "settings", "variants", "layouts") else folders[0]


def compare(a: Path, b: Path) -> bool:
    """Print same or different for every item, and return whether all are the same."""
    ours, theirs = files(a), files(b)
    items: dict[str, list[str]] = {}
    for name in sorted(ours.keys() | theirs.keys()):
        items.setdefault(item(name), []).append(name)
    for one, names in items.items():
        different = [name for name in names if ours.get(name) != theirs.get(name)]
        print(f"{'different' if different else 'same':<11}{one} ({len(names)} files)")
        for name in different[:8]:
            missing = "" if name in ours and name in theirs else f" (only in {'A' if name in ours else 'B'})"
            print(f"             {name}{missing}")
    return ours == theirs


def run(checkout: Path, folder: Path, parts: list[str]) -> None:
    """Run the parts with a checkout's package, each in a process of its own.

    Raises:
        CalledProcessError: a command failed in a way that no command should; its log is printed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "PYTHONPATH": str(checkout.resolve() / "src"),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "COLUMNS": "120",
    }
    log = folder.with_suffix(".log")
    for part in parts:
        with log.open("a") as file:
            command = [sys.executable, str(Path(__file__).resolve()), "--work", part]
            if subprocess.run(command, cwd=folder, env=environment, stderr=file).returncode:
                sys.exit(f"{checkout}, {part}: {log.read_text()[-3000:]}")


def main() -> None:
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    if sys.argv[1] == "--work":
        work(sys.argv[2])
        return
    checkouts, parts = [Path(text) for text in sys.argv[1:3]], sys.argv[3:] or list(commands())
    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(2) as pool:
        folders = [Path(place) / name for name in ("a", "b")]
        list(pool.map(run, checkouts, folders, [parts, parts]))
        same = compare(*folders)
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
