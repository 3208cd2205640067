"""Installing: what is missing is said in one sentence, and a wheel alone is enough."""

import json
import os
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def ready(python: object, venv: Path, **environment: str) -> str:
    """Run the check that comes before an installation, and return the one sentence with which it stops."""
    done = subprocess.run(
        ["sh", str(ROOT / "tools/ready.sh"), str(python), str(venv)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("tfen: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_what_an_installation_lacks_is_said_before_it_starts(tmp_path: Path) -> None:
    assert "there is no /no/python; install Python 3.11" in ready("/no/python", tmp_path / "a")
    old = script(tmp_path / "old", 'case "$1" in --version) echo Python 3.9.2;; *) exit 1;; esac')
    assert "Python 3.9.2 is too old: 3.11 or later" in ready(old, tmp_path / "b")
    bare = script(tmp_path / "bare", f'case "$2" in *ensurepip*) exit 1;; esac; exec {sys.executable} "$@"')
    assert "install python3-venv" in ready(bare, tmp_path / "c")
    assert "the installation needs 999999999; free some" in ready(sys.executable, tmp_path / "d", GIGABYTES="999999999")
    (tmp_path / "file").write_text("")
    assert "cannot be written; take another folder" in ready(sys.executable, tmp_path / "file" / "venv")


def test_an_index_that_does_not_answer_is_said_too(tmp_path: Path) -> None:
    script(tmp_path / "venv/bin/python", f'exec {sys.executable} "$@"')
    empty = tmp_path / "empty"
    empty.mkdir()
    nowhere = {"PIP_INDEX_URL": empty.as_uri(), "PIP_EXTRA_INDEX_URL": "", "PIP_CONFIG_FILE": os.devnull}
    assert "no package index answers" in ready(sys.executable, tmp_path / "venv", **nowhere)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the wheel's content and nothing of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = folder.glob("tfen-*.whl")
    with zipfile.ZipFile(wheel) as content:
        content.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_holds_weights_pages_templates_and_licences(installed: Path) -> None:
    source = ROOT / "src"
    kept = {
        path.relative_to(source) for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    there = {path.relative_to(installed) for path in installed.rglob("*") if path.is_file()}
    assert kept <= there
    assert {path.name for path in kept} >= {
        "model.safetensors", "landmarks.safetensors", "MODEL_CARD.md", "face_detection_yunet_2023mar.onnx",
        "face_detection_yunet_2023mar.LICENSE",
    }  # fmt: skip
    licences = {path.name for path in next(installed.glob("tfen-*.dist-info")).joinpath("licenses").rglob("*")}
    assert licences >= {"LICENSE", "face_detection_yunet_2023mar.LICENSE"}


def test_the_wheel_alone_makes_faces_analyzes_and_serves(installed: Path, tmp_path: Path) -> None:
    def tfen(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "tfen", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(installed)},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    place = "import tfen; print(tfen.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    found = subprocess.run([sys.executable, "-P", "-c", place], cwd=tmp_path, env=environment, capture_output=True)
    assert Path(found.stdout.decode().strip()).is_relative_to(installed)
    tfen("synth", "faces", "--subjects", "1", "--frames", "2", "--size", "120", "--framing", "1.9", "--jobs", "1",
         "--expressions", "neutral", "happiness")  # fmt: skip
    picture = next((tmp_path / "faces/frames/s0000-happiness").iterdir())
    assert "1 faces" in tfen("analyze", str(picture), "--out", "out")
    row = json.loads((tmp_path / "out/results.jsonl").read_text().splitlines()[0])
    assert row["face"] == 0
    assert 0 < row["confidence"] <= 1
    command = [sys.executable, "-P", "-m", "tfen", "app", "--port", "0"]
    server = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = next(word for word in server.stdout.readline().split() if word.startswith("http"))
        for page, holds in (("", b"<html"), ("api/health", b"{")):
            with urllib.request.urlopen(f"{address.rstrip('/')}/{page}", timeout=20) as answer:
                assert holds in answer.read()
    finally:
        server.terminate()
        server.wait(20)
