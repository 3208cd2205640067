"""The public surface: what is listed is there, is documented, and works as its examples say; nothing global changes."""

import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import write_tiny_set
from films import still, write_film

import tfen
from tfen.config import make_settings
from tfen.progress import logger, say
from tfen.training.crossval import crossval
from tfen.training.devices import make_accelerator

REFERENCE = Path(__file__).parent.parent / "docs" / "reference.md"


def test_everything_that_is_listed_is_there_and_named_in_the_reference() -> None:
    page = REFERENCE.read_text(encoding="utf-8")
    for name in tfen.__all__:
        assert getattr(tfen, name) is not None
        assert name in dir(tfen)
        assert name == "__version__" or re.search(rf"\b{name}\b", page), name
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        tfen.Nothing  # noqa: B018


def test_the_examples_of_the_reference_run(
    tmp_path: Path, actors: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tiny_set(tmp_path / "faces")
    write_film(tmp_path / "film.mp4", *still(actors, 2.0))
    examples = re.findall(r"```python\n(.*?)```", REFERENCE.read_text(encoding="utf-8"), re.S)
    assert len(examples) >= 6
    names: dict[str, object] = {}
    level = logger.level
    try:
        for example in examples:
            exec(compile(example, str(REFERENCE), "exec"), names)
    finally:
        logger.setLevel(level)
    said = capsys.readouterr().out
    assert re.search(r"^\d\.\d\d s, face 0: \w+ \(0\.\d\d\)$", said, re.M)
    assert "on 4 unseen subjects" in said
    assert (tmp_path / "run/report/index.html").exists()
    assert "Loaded tfen ('anger', 'happiness', 'surprise')" in said
    assert "PreparedSet 8 ('anger', 'happiness')" in said
    assert "a choice of anger, happiness" in said
    assert "train.norm is 'cubed'; choose from squared, absolute, cross-entropy" in said


def test_a_program_that_uses_the_package_hears_nothing_unless_it_asks() -> None:
    code = "from tfen.progress import say, meter; say('hidden')\nwith meter('work', 2, 'steps') as m: m.advance(2)"
    quiet = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    asked = "import logging; logging.basicConfig(level=logging.INFO)\n" + code
    assert "INFO:tfen:hidden" in subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True).stderr


def test_the_command_line_leaves_logging_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    from tfen.cli import main

    before = (logger.level, list(logger.handlers), logging.getLogger().level)
    with pytest.raises(SystemExit):
        main(["report", "nowhere"])
    assert capsys.readouterr().err.startswith("tfen: nowhere holds no finished run")
    say("nobody listens")
    assert capsys.readouterr().err == ""
    assert (logger.level, list(logger.handlers), logging.getLogger().level) == before


def test_trainings_of_one_program_may_differ_in_precision() -> None:
    for precision in ("no", "bf16", "no"):
        changes = {"train": {"precision": precision, "device": "cpu"}}
        assert make_accelerator(make_settings(None, changes)).mixed_precision == precision


def test_a_run_in_a_program_is_the_run_of_the_command(tiny_set: Path, tmp_path: Path) -> None:
    from conftest import SMALL
    from conftest import tfen as command

    assert command("crossval", tiny_set, tmp_path / "a", *SMALL, "--folds.count", 2).returncode == 0
    changes = {
        "model": {"width": 8, "image_size": 32, "frames": 3},
        "train": {"epochs": 3, "batch_size": 4, "lr": 0.001, "device": "cpu"},
        "face": {"epochs": 1, "batch_size": 8},
        "folds": {"count": 2},
    }
    crossval(tiny_set, tmp_path / "b", make_settings(None, changes))
    for name in ("config.yaml", "predictions.csv", "summary.json", "fold-01/model.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
