"""Folders of an earlier version of the program are gone on with, and those of other settings or formats are not."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from conftest import SMALL, refuses, tfen

from tfen.errors import InputError
from tfen.folders import Format, claim

BOX = Format("a box", "box.json", 2)
SETTINGS = {"set": "x", "settings": {"size": 3, "names": ("a", "b"), "inner": {"depth": 1}}}


def edit(path: Path, **changes: object) -> None:
    """Change a marker's values; None takes one out."""
    yaml_file = path.suffix == ".yaml"
    values = yaml.safe_load(path.read_text()) if yaml_file else json.loads(path.read_text())
    values.update(changes)
    values = {name: value for name, value in values.items() if value is not None}
    path.write_text(yaml.safe_dump(values, sort_keys=False) if yaml_file else json.dumps(values))


def test_a_folder_is_ours_if_it_was_begun_with_the_same_settings(tmp_path: Path) -> None:
    folder = tmp_path / "box"
    assert not claim(folder, BOX, SETTINGS)
    assert claim(folder, BOX, SETTINGS)
    other = {"set": "x", "settings": {"size": 3, "names": ("a", "b"), "inner": {"depth": 2}}}
    with pytest.raises(
        InputError, match=r"holds a box with inner\.depth = 1, not 2; choose another folder, or the same settings"
    ):
        claim(folder, BOX, other)
    assert claim(folder, BOX, other, ignore=frozenset({"inner.depth"}))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("keep")
    with pytest.raises(InputError, match="holds no box"):
        claim(tmp_path / "mine", BOX, SETTINGS)


def test_versions_may_differ_and_settings_that_did_not_exist_have_their_default(tmp_path: Path) -> None:
    claim(tmp_path / "box", BOX, SETTINGS)
    edit(tmp_path / "box/box.json", tfen="0.0.1")
    newer = {**SETTINGS, "colour": "grey"}
    assert claim(tmp_path / "box", BOX, newer, {"colour": "grey"})
    with pytest.raises(InputError, match="colour = grey, not red"):
        claim(tmp_path / "box", BOX, {**SETTINGS, "colour": "red"}, {"colour": "grey"})


def test_what_grows_is_written_anew(tmp_path: Path) -> None:
    def grows(name: str, before: int, now: int) -> bool:
        return name == "size" and before < now

    claim(tmp_path / "box", BOX, {"size": 3}, grows=grows)
    assert claim(tmp_path / "box", BOX, {"size": 5}, grows=grows)
    assert json.loads((tmp_path / "box/box.json").read_text())["size"] == 5
    with pytest.raises(InputError, match="size = 5, not 4"):
        claim(tmp_path / "box", BOX, {"size": 4}, grows=grows)


@pytest.mark.parametrize("number", [1, 3])
def test_another_format_is_refused_in_one_sentence(number: int, tmp_path: Path) -> None:
    claim(tmp_path / "box", BOX, SETTINGS)
    edit(tmp_path / "box/box.json", format=number, tfen="7.0.0")
    with pytest.raises(InputError, match=rf"is a box in format {number}, made by tfen 7\.0\.0; tfen .* reads format 2"):
        claim(tmp_path / "box", BOX, SETTINGS)


def test_a_synthetic_set_of_an_earlier_version_is_gone_on_with(tmp_path: Path) -> None:
    command = ["synth", tmp_path / "faces", "--frames", 2, "--size", 32, "--jobs", 1]
    command += ["--expressions", "neutral", "happiness"]
    assert tfen(*command, "--subjects", 1).returncode == 0
    edit(tmp_path / "faces/synth.json", tfen="0.0.1", format=None)  # as it was before formats had numbers
    kept = tmp_path / "faces/frames/s0000-happiness/0001.jpg"
    stamp = kept.stat().st_mtime_ns
    assert "2 sequences of 1 subjects" in tfen(*command, "--subjects", 1).stdout
    assert kept.stat().st_mtime_ns == stamp
    edit(tmp_path / "faces/synth.json", format=9)
    refuses(*command, "--subjects", 1, says="is a synthetic set in format 9")


def test_a_prepared_set_of_an_earlier_version_is_gone_on_with(tmp_path: Path) -> None:
    for name in ("fear", "anger"):
        (tmp_path / "in" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "in" / name / "anna.png"), np.full((40, 40, 3), 90, np.uint8))
    command = ["prepare", "folder", tmp_path / "in", tmp_path / "out", "--detector", "none", "--size", 32]
    assert tfen(*command).returncode == 0
    edit(tmp_path / "out/prepare.json", tfen="0.0.1", format=None)
    (tmp_path / "out/sequences.csv").unlink()
    assert "2 sequences of 1 subjects" in tfen(*command).stdout
    edit(tmp_path / "out/prepared.json", format=9)
    refuses("folds", tmp_path / "out", says="is a prepared set in format 9")


def test_a_run_of_an_earlier_version_is_gone_on_with_and_read(tiny_set: Path, tmp_path: Path) -> None:
    command = ["crossval", tiny_set, tmp_path / "run", *SMALL, "--folds.count", "2", "--folds.select", "last"]
    assert tfen(*command, "--folds.only", 0).returncode == 0
    config = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    del config["settings"]["train"]["matched"], config["settings"]["model"]["block"]  # settings that came later
    edit(tmp_path / "run/config.yaml", tfen="0.0.1", format=None, set_content=None, settings=config["settings"])
    done = tfen(*command)
    assert done.returncode == 0, done.stderr
    assert "fold 0: done before" in done.stderr
    assert tfen("report", tmp_path / "run").returncode == 0
    refuses(*command, "--train.matched", says="holds a run with train.matched = False, not True")


def test_an_analysis_of_another_version_is_gone_on_with_and_of_another_format_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((60, 60, 3), 90, np.uint8))
    out = tmp_path / "out"
    assert tfen("analyze", tmp_path / "a.png", "--out", out).returncode == 0
    edit(out / "analysis.json", tfen="0.0.1")
    done = tfen("analyze", tmp_path / "a.png", tmp_path / "b.png", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "1 of 2 files: done before" in done.stderr
    refuses(
        "analyze", tmp_path / "a.png", "--out", out, "--window", 2, says="holds an analysis with window = 1.0, not 2.0"
    )
    edit(out / "analysis.json", detector="haar")  # begun when it was the default
    refuses(
        "analyze", tmp_path / "a.png", "--out", out, says="with detector = haar, not yunet; choose another folder, or"
    )
    assert "done before" in tfen("analyze", tmp_path / "a.png", "--out", out, "--detector", "haar").stderr
    edit(out / "analysis.json", format=1)
    refuses("analyze", tmp_path / "a.png", "--out", out, says="is an analysis in format 1")
