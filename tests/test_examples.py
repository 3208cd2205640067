"""The examples run as they stand."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from conftest import rows
from films import still, write_film

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def short_film(actors: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_film(tmp_path_factory.mktemp("example") / "film.mp4", *still(actors, 1.2))


def run(name: str, *arguments: object, cwd: Path) -> str:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**os.environ, "MPLBACKEND": "Agg"})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_film_to_a_table_and_a_plot(short_film: Path, tmp_path: Path) -> None:
    assert "1 faces" in run("film_to_table.py", short_film, tmp_path / "out", cwd=tmp_path)
    table = rows(tmp_path / "out/expressions.csv")
    assert {row["face"] for row in table} == {"0"}
    shares = [float(value) for name, value in table[0].items() if name not in ("time", "face", "label", "confidence")]
    assert sum(shares) == pytest.approx(1, abs=1e-3)
    assert (tmp_path / "out/expressions.png").stat().st_size > 5000


def test_training_on_a_folder_of_ones_own_and_reading_its_features(actors: Path, tmp_path: Path) -> None:
    for row in rows(actors / "sequences.csv"):
        place = tmp_path / "own" / row["expression"] / row["subject"] / "1"
        place.mkdir(parents=True)
        for path in (actors / "frames" / row["sequence"]).iterdir():
            (place / path.name).write_bytes(path.read_bytes())
    said = run("train_on_folder.py", "own", "out", 1, cwd=tmp_path)
    assert "unseen subjects" in said
    assert (tmp_path / "out/run/report/index.html").exists()
    said = run("read_features.py", "out/run", cwd=tmp_path)
    assert "the nearest sequence is of the same person in" in said
    content = np.load(tmp_path / "features.npz")
    assert len(content["features"]) == len(content["subjects"]) > 0


def test_the_notebook_from_top_to_bottom(short_film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    matplotlib.use("Agg")
    notebook = json.loads((EXAMPLES / "film.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell.get("outputs") for cell in notebook["cells"])
    script = tmp_path / "notebook.py"
    script.write_text("\n".join(cells).replace("interview.mp4", str(short_film)))
    runpy.run_path(str(script))
    said = capsys.readouterr().out
    assert "results of 1 faces" in said
