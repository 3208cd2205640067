import csv
import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import refuses, tfen

from tfen.data.prepared import open_set

PLAIN = ["--detector", "none"]


def image(path: Path, width: int = 60, height: int = 80, value: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.full((height, width, 3), value, np.uint8)
    picture[20:60, 10:50] = 200
    ok, coded = cv2.imencode(path.suffix, picture)
    assert ok
    path.write_bytes(coded.tobytes())


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    source = tmp_path / "my photos"
    for subject in ("Ann", "Bö", "c 3"):
        image(source / "Neutral" / f"{subject}.png")
        image(source / "smiling" / f"{subject}.png")
    for k in (1, 2, 10):
        image(source / "Neutral" / "Dan" / f"f{k}.jpg", value=10 * k)
        image(source / "smiling" / "Dan" / "take 1" / f"f{k}.jpg", value=10 * k)
        image(source / "smiling" / "Dan" / "take 2" / f"f{k}.jpg")
    return source


def test_stills_sequences_and_takes(photos: Path, tmp_path: Path) -> None:
    before = {path: hashlib.sha256(path.read_bytes()).digest() for path in photos.rglob("*.*") if path.is_file()}
    out = tmp_path / "out"
    done = tfen("prepare", "folder", photos, out, "--box", "10,20,40", "--size", 32)
    assert done.returncode == 0, done.stderr
    assert "9 sequences of 4 subjects" in done.stdout
    found = open_set(out)
    assert found.expressions == ("neutral", "happiness")
    frames = {sequence.name: sequence.frames for sequence in found.sequences}
    assert frames["Ann-neutral"] == 1
    assert frames["Dan-neutral"] == 3
    assert frames["Dan-happiness-take_1"] == 3
    dan = next(sequence for sequence in found.sequences if sequence.name == "Dan-neutral")
    crops = [cv2.imread(str(path)) for path in found.frame_files(dan)]
    assert all(crop is not None and crop.shape == (32, 32, 3) and abs(int(crop.mean()) - 200) < 3 for crop in crops)
    about = json.loads((out / "prepared.json").read_text())
    assert about["settings"]["box"] == {"left": 10, "top": 20, "side": 40}
    assert about["counts"]["per_expression"] == {"happiness": 5, "neutral": 4}
    assert before == {path: hashlib.sha256(path.read_bytes()).digest() for path in before}


def test_two_runs_give_the_same_bytes(photos: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert tfen("prepare", "folder", photos, tmp_path / name, *PLAIN).returncode == 0
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert len(files) > 10
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)


def test_frames_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for k in (10, 9, 100):
        image(tmp_path / "in/anger/s1" / f"{k}.png", 40, 40, k)
        image(tmp_path / "in/fear/s1" / f"{k}.png", 40, 40, k)
    assert tfen("prepare", "folder", tmp_path / "in", tmp_path / "out", "--size", 40, *PLAIN).returncode == 0
    found = open_set(tmp_path / "out")
    shades = [int(cv2.imread(str(path))[2, 2, 0]) for path in found.frame_files(found.sequences[0])]  # type: ignore[index]
    assert shades == sorted(shades)


def test_a_csv(photos: Path, tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        rows = [["Neutral/Ann.png", "Ann", "neutral"], ["smiling/Dan/take 1", "Dan", "happy"]]
        csv.writer(file).writerows(
            [["path", "subject", "expression"], *[[str(photos / row[0]), *row[1:]] for row in rows]]
        )
    assert tfen("prepare", "folder", table, tmp_path / "out", *PLAIN).returncode == 0
    assert [s.frames for s in open_set(tmp_path / "out").sequences] == [1, 3]
    table.write_text("file,subject,expression\n")
    refuses("prepare", "folder", table, tmp_path / "x", says="no column path")
    table.write_text("path,subject,expression\nnowhere.png,a,anger\n")
    refuses("prepare", "folder", table, tmp_path / "x", says="row 2")


def test_an_unreadable_image_leaves_its_sequence_out_and_names_it(photos: Path, tmp_path: Path) -> None:
    (photos / "Neutral/Ann.png").write_bytes(b"\x89PNG broken")
    done = tfen("prepare", "folder", photos, tmp_path / "out", *PLAIN)
    assert done.returncode == 0, done.stderr
    assert "left out Ann-neutral" in done.stderr
    assert "1 left out" in done.stdout
    assert "Ann-neutral" in json.loads((tmp_path / "out/prepared.json").read_text())["left_out"]
    assert not (tmp_path / "out/frames/Ann-neutral").exists()


def test_what_cannot_be_prepared_is_refused(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    refuses("prepare", "folder", tmp_path / "none", out, says="does not exist")
    refuses("prepare", "folder", photos, out, "--box", "1,2", says="left,top,side")
    refuses("prepare", "folder", photos, photos / "inside", says="never changed")
    sentence = refuses("prepare", "folder", photos, out, "--box", "30,30,60")
    assert "none of its 9 sequences" in sentence
    (photos / "anger").mkdir()
    refuses("prepare", "folder", photos, out, says="the class anger is empty")
    (photos / "anger/Eve/take 1").mkdir(parents=True)
    (photos / "anger/Eve/take 1/clip.mp4").write_bytes(b"film")
    refuses("prepare", "folder", photos, out, says="is a video where images are expected")
    (tmp_path / "bare").mkdir()
    refuses("prepare", "folder", tmp_path / "bare", out, says="has no folders")
    assert not out.exists()


def test_common_words_are_understood_and_unknown_ones_refused_with_the_list(tmp_path: Path) -> None:
    for word in ("Scared", "smile"):
        (tmp_path / "in" / word).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "in" / word / "anna.png"), np.full((40, 40, 3), 90, np.uint8))
    command = ["prepare", "folder", tmp_path / "in"]
    assert tfen(*command, tmp_path / "out", "--detector", "none", "--size", 32).returncode == 0
    assert open_set(tmp_path / "out").expressions == ("fear", "happiness")
    (tmp_path / "in/Scared").rename(tmp_path / "in/sleepy")
    sentence = refuses(*command, tmp_path / "other", says="'sleepy' is no expression; expected one of neutral, anger")
    assert str(tmp_path / "in/sleepy") in sentence
    table = tmp_path / "list.csv"
    table.write_text("path,subject,expression\nin/smile/anna.png,anna,surprized\n")
    refuses("prepare", "folder", table, tmp_path / "other", says="list.csv row 2: 'surprized' is no expression")
