"""Several sets as one: whose sequences they are stays clear, and nobody who is held back of one is trained on in all."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import SMALL, contents, refuses, rows, tfen, write_tiny_set

from tfen import load
from tfen.config import make_settings
from tfen.data.prepared import open_set
from tfen.training.on_all import held_back


@pytest.fixture
def sets(tmp_path: Path) -> tuple[Path, Path]:
    return write_tiny_set(tmp_path / "a", subjects=12), write_tiny_set(tmp_path / "b", subjects=9, frames=3)


def test_a_joined_set_holds_all_of_each(sets: tuple[Path, Path], tmp_path: Path) -> None:
    (sets[0] / "subjects.csv").write_text("subject,sex\np1,female\n")
    (sets[1] / "subjects.csv").write_text("subject,age\np1,30\n")
    before = [contents(folder) for folder in sets]
    out = tmp_path / "both"
    done = tfen("join", *sets, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "63 sequences of 21 subjects of 2 sets" in done.stdout
    assert [contents(folder) for folder in sets] == before
    for folder, kept in zip(sets, before, strict=True):
        for name, data in kept.items():
            if name.startswith("frames/"):
                assert (out / "frames" / folder.name / name.removeprefix("frames/")).read_bytes() == data
    assert rows(out / "sequences.csv")[36:38] == [
        {"sequence": f"b/p1-{shown}", "subject": "b/p1", "expression": shown, "frames": "3", "source": "by hand"}
        for shown in ("anger", "happiness")
    ]
    people = rows(out / "subjects.csv")
    assert people == [
        {"subject": "a/p1", "sex": "female", "age": ""},
        {"subject": "b/p1", "sex": "", "age": "30"},
    ]
    about = json.loads((out / "prepared.json").read_text())
    assert list(about["joined"]) == ["a", "b"]
    assert about["counts"]["subjects"] == 21
    assert not list(tmp_path.glob(".part-*"))


def test_truth_comes_along(synthetic_set: Path, tiny_set: Path, tmp_path: Path) -> None:
    done = tfen("join", synthetic_set, tiny_set, "--out", tmp_path / "both", "--names", "made", "laid")
    assert done.returncode == 0, done.stderr
    found, alone = open_set(tmp_path / "both"), open_set(synthetic_set)
    assert found.about["action_units"] == alone.about["action_units"]
    wanted = alone.truth(alone.sequences[0], "landmarks", (68, 2))
    got = found.truth(found.sequences[0], "landmarks", (68, 2))
    assert wanted is not None
    assert got is not None
    assert (wanted == got).all()
    assert found.truth(found.sequences[-1], "landmarks", (68, 2)) is None
    assert not (tmp_path / "both/subjects").exists()  # not everybody is known


def test_synthetic_people_stay_known(synthetic_set: Path, tmp_path: Path) -> None:
    out = tmp_path / "both"
    assert tfen("join", synthetic_set, synthetic_set, "--out", out, "--names", "a", "b").returncode == 0
    for name in ("a", "b"):
        for path in (synthetic_set / "subjects").iterdir():
            assert (out / "subjects" / name / path.name).read_bytes() == path.read_bytes()
    own = Path(shutil.copytree(synthetic_set, tmp_path / "own"))
    (own / "subjects/s0001.json").unlink()
    refuses("join", synthetic_set, own, "--out", tmp_path / "c", says="s0001.json is missing")
    assert not (tmp_path / "c").exists()


def test_each_set_holds_back_whom_it_holds_back_alone(sets: tuple[Path, Path], tmp_path: Path) -> None:
    assert tfen("join", *sets, "--out", tmp_path / "both").returncode == 0
    settings = make_settings("release", {"folds": {"validation_share": 0.25}})
    alone = {f"{folder.name}/{subject}" for folder in sets for subject in held_back(open_set(folder), settings)}
    assert len(alone) == 5
    assert held_back(open_set(tmp_path / "both"), settings) == alone
    trained = tmp_path / "trained"
    done = tfen("train", tmp_path / "both", trained, *SMALL, "--folds.validation-share", 0.25)
    assert done.returncode == 0, done.stderr
    about = load(trained).about
    assert (about["subjects"], about["validation_subjects"]) == (16, 5)


def test_each_set_is_left_out_once(sets: tuple[Path, Path], tmp_path: Path) -> None:
    assert tfen("join", *sets, "--out", tmp_path / "both").returncode == 0
    left_out = ("--folds.protocol", "leave-one-set-out")
    done = tfen("crossval", tmp_path / "both", tmp_path / "run", *SMALL, *left_out)
    assert done.returncode == 0, done.stderr
    for number, name in enumerate("ab"):
        fold = json.loads((tmp_path / f"run/fold-{number:02d}/fold.json").read_text())
        assert {subject.split("/")[0] for subject in fold["test_subjects"]} == {name}
        trained_on = {subject.split("/")[0] for part in ("train", "validation") for subject in fold[f"{part}_subjects"]}
        assert trained_on == {"a", "b"} - {name}
    said = rows(tmp_path / "run/predictions.csv")
    assert len(said) == 63
    refuses("crossval", sets[0], tmp_path / "other", *SMALL, *left_out, says="join them with `tfen join`")


def test_what_cannot_be_joined_is_told(sets: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = sets
    out = tmp_path / "both"
    refuses("join", a, "--out", out, says="nothing to join")
    refuses("join", a, a, "--out", out, says="two sets are called a; tell them apart with --names")
    refuses("join", a, b, "--out", out, "--names", "one", says="1 names for 2 sets")
    refuses("join", a, b, "--out", out, "--names", "one", "t/w", says="'t/w' cannot be a set's name")
    refuses("join", a, tmp_path / "none", "--out", out, says="does not exist")
    refuses("join", a, b, "--out", a, says="is not empty")
    assert tfen("join", a, b, "--out", out).returncode == 0
    refuses("join", out, a, "--out", tmp_path / "more", says="is a joined set; name the sets")
    (b / "frames/p9-surprise/01.png").unlink()
    refuses("join", a, b, "--out", tmp_path / "more", says="holds 2 frames but sequences.csv says 3")
    assert not (tmp_path / "more").exists()
    assert not list(tmp_path.glob(".part-*"))
