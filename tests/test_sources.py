"""Readers of official folders, on small trees laid by hand with the traps of the real ones."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from openpyxl import Workbook

from tfen.data.sources import ckplus, dfew, mmi, oulu_casia
from tfen.errors import InputError


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, np.full((8, 8, 3), 90, np.uint8))[1].tobytes())


def text(path: Path, words: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(words, encoding="utf-8")


@pytest.fixture
def ck(tmp_path: Path) -> Path:
    root = tmp_path / "CK plus"
    for sequence, frames in (("001", (1, 2, 10)), ("002", (1,)), ("003", (1,)), ("004", (1,)), ("005", (1,))):
        for k in frames:
            picture(root / f"cohn-kanade-images/S005/{sequence}/S005_{sequence}_{k:08d}.png")
    text(root / "cohn-kanade-images/S005/001/.DS_Store", "")
    text(root / "Emotion/S005/001/S005_001_00000010_emotion.txt", "   3.0000000e+00\n")
    (root / "Emotion/S005/002").mkdir(parents=True)  # empty: no label
    text(root / "Emotion/S005/004/S005_004_00000001_emotion.txt", "   9.0000000e+00\n")
    text(root / "Emotion/S005/005/S005_005_00000001_emotion.txt", "2")
    for k in (1, 2, 10):
        text(root / f"Landmarks/S005/001/S005_001_{k:08d}_landmarks.txt", "   1.0e+00   2.0e+00\n" * 68)
    (root / "cohn-kanade-images/S999/001").mkdir(parents=True)
    text(root / "Emotion/S999/001/S999_001_00000001_emotion.txt", "7")
    return root


def test_ckplus_takes_labelled_sequences_alone(ck: Path) -> None:
    found = ckplus.find(ck)
    assert [(one.name, one.subject, one.expression) for one in found.recordings] == [
        ("S005_001", "S005", "disgust"),
        ("S005_005", "S005", "contempt"),
    ]
    assert [path.name[-6:] for path in found.recordings[0].files] == ["01.png", "02.png", "10.png"]
    assert [path.name for path in found.recordings[0].landmarks][-1] == "S005_001_00000010_landmarks.txt"
    assert found.recordings[1].landmarks == ()
    assert found.unlabelled == 2  # 002 has an empty folder, 003 none
    assert "expected a number from 1 to 7" in found.left_out["S005_004"]
    assert "holds no images" in found.left_out["S999_001"]


def test_ckplus_numbers_are_those_of_its_publishers(tmp_path: Path) -> None:
    """0 neutral, 1 anger, 2 contempt, 3 disgust, 4 fear, 5 happy, 6 sadness, 7 surprise, says its ReadMe."""
    for k in range(1, 8):
        picture(tmp_path / f"cohn-kanade-images/S010/{k:03d}/S010_{k:03d}_00000001.png")
        text(tmp_path / f"Emotion/S010/{k:03d}/S010_{k:03d}_00000001_emotion.txt", f"   {k}.0000000e+00\n")
    assert {one.name[-1]: one.expression for one in ckplus.find(tmp_path).recordings} == {
        "1": "anger",
        "2": "contempt",
        "3": "disgust",
        "4": "fear",
        "5": "happiness",
        "6": "sadness",
        "7": "surprise",
    }


def test_ckplus_is_prepared_in_grey_unless_its_colour_is_asked_for() -> None:
    assert ckplus.Options().changes() == {"grey": True}
    assert ckplus.Options(colour=True).changes() == {"grey": False}


def test_ckplus_counts_that_differ_are_said(ck: Path) -> None:
    said = ckplus.PUBLISHED.differences(ckplus.find(ck).recordings)
    assert "2 sequences, published are 327" in said
    assert "1 sequences of disgust, published are 59" in said


def test_something_else_is_no_ckplus(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(InputError, match="is not CK"):
        ckplus.find(tmp_path)


def session(root: Path, number: int, stem: str, xml: str | None, view: str = "0") -> None:
    folder = root / "Sessions" / str(number)
    text(folder / f"{stem}.avi", "film")
    text(folder / "session.xml", f'<session><track filename="{stem}.avi" view="{view}"/></session>')
    text(folder / f"{stem}-oao_aucs.xml", "<AUCoding/>")
    if xml is not None:
        text(folder / f"{stem}.xml", xml)


EMOTION = '<Recording><Metatag Name="Subject" Value="1"/><Metatag Name="Emotion" Value="{}"/></Recording>'
BOMB = '<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><r><Metatag Name="Emotion" Value="1"/>&b;</r>'


def test_mmi_reads_sessions_and_drops_what_has_none_of_the_six_emotions(tmp_path: Path) -> None:
    session(tmp_path, 9, "S001-002", EMOTION.format(4))
    session(tmp_path, 10, "S002-001", EMOTION.format(6), view="2")
    session(tmp_path, 11, "S002-003", EMOTION.format(8))
    session(tmp_path, 12, "S003-001", None)
    session(tmp_path, 13, "S003-002", "<Recording></Recording>")
    session(tmp_path, 14, "S003-003", EMOTION.format("x"))
    session(tmp_path, 15, "S003-004", "<Recording>")
    session(tmp_path, 16, "S003-005", BOMB)
    session(tmp_path, 17, "S003-006", EMOTION.format(1), view="1")
    (tmp_path / "Sessions/18").mkdir()
    found = mmi.find(tmp_path)
    assert [(one.name, one.subject, one.expression, one.both_views) for one in found.recordings] == [
        ("S001-002_9", "S001", "happiness", False),
        ("S002-001_10", "S002", "surprise", True),
    ]
    assert found.unlabelled == 3
    reasons = found.left_out
    assert "expected a number" in reasons["session-14"]
    assert "is no XML" in reasons["session-15"]
    assert "plays tricks" in reasons["session-16"]
    assert "from the side only" in reasons["session-17"]
    assert "holds no film" in reasons["session-18"]


def test_mmi_numbers_are_those_of_its_publishers(tmp_path: Path) -> None:
    for k in range(1, 7):
        session(tmp_path, k, f"S001-00{k}", EMOTION.format(k))
    assert {one.name[-1]: one.expression for one in mmi.find(tmp_path).recordings} == {
        "1": "anger",
        "2": "disgust",
        "3": "fear",
        "4": "happiness",
        "5": "sadness",
        "6": "surprise",
    }


@pytest.mark.parametrize("root", ["OriginalImg/VL", "B_OriginalImg/VL", "OriginalImg"])
def test_oulu_roots_are_spelled_in_many_ways(tmp_path: Path, root: str) -> None:
    place = tmp_path / "Oulu" / root if root.endswith("VL") else tmp_path / "Oulu" / root / "vl"
    for expression in ("Anger", "Happiness", "Yawning"):
        for k in (0, 1, 2):
            picture(place / "Strong/P001" / expression / f"{k:03d}.jpeg")
        picture(place / "Weak/P002" / expression / "000.jpeg")
    (place / "Strong/P002/Fear").mkdir(parents=True)
    found = oulu_casia.find(tmp_path / "Oulu")
    assert [(one.name, len(one.files)) for one in found.recordings] == [("P001_anger", 3), ("P001_happiness", 3)]
    assert "holds no images" in found.left_out["P002_fear"]
    assert "is none of" in found.left_out["P001_yawning"]
    weak = oulu_casia.find(tmp_path / "Oulu", light="Weak")
    assert {one.subject for one in weak.recordings} == {"P002"}


def test_oulu_pre_cropped_images_and_films(tmp_path: Path) -> None:
    picture(tmp_path / "images/PreProcessImg/VL_Acropped/Strong/P007/Sadness/000.jpeg")
    found = oulu_casia.find(tmp_path / "images", cropped=True)
    assert [(one.name, one.cropped) for one in found.recordings] == [("P007_sadness", True)]
    with pytest.raises(InputError, match="has no images of NI Strong"):
        oulu_casia.find(tmp_path / "images", camera="NI")
    for name in ("P001_VL_S_A", "P001_VL_S_S1", "P001_VL_S_S2", "P001_VL_W_H", "P001_NI_S_F", "P001_VL_S_X"):
        text(tmp_path / "films/Videos" / f"{name}.avi", "film")
    films = oulu_casia.find(tmp_path / "films")
    assert {one.name for one in films.recordings} == {"P001_anger", "P001_surprise", "P001_sadness"}
    assert "ends in A, D, F, H, S1 or S2" in films.left_out["P001_VL_S_X"]


def test_oulu_films_end_in_letters_for_the_expressions_and_s1_is_surprise(tmp_path: Path) -> None:
    for ending in ("A", "D", "F", "H", "S1", "S2"):
        text(tmp_path / "Videos" / f"P002_VL_S_{ending}.avi", "film")
    found = oulu_casia.find(tmp_path).recordings
    assert {one.video.stem.split("_")[-1]: one.expression for one in found if one.video is not None} == {
        "A": "anger",
        "D": "disgust",
        "F": "fear",
        "H": "happiness",
        "S1": "surprise",
        "S2": "sadness",
    }


@pytest.mark.parametrize("light", ["Strong", "Weak", "Dark"])
def test_oulu_films_of_one_light_are_taken_alone_though_disgust_and_dark_share_a_letter(
    tmp_path: Path, light: oulu_casia.Light
) -> None:
    for letter in "SWD":
        for ending in ("A", "D", "S1", "S2"):
            text(tmp_path / "Videos" / f"P001_VL_{letter}_{ending}.avi", "film")
    found = oulu_casia.find(tmp_path, light=light)
    stems = sorted(one.video.stem for one in found.recordings if one.video is not None)
    assert stems == [f"P001_VL_{light[0]}_{ending}" for ending in ("A", "D", "S1", "S2")]
    assert not found.left_out


def splits(root: Path, labels: dict[str, int]) -> None:
    names = list(labels)
    for fold in range(1, 6):
        test = names[fold - 1 :: 5]
        for part, chosen in (("test", test), ("train", [name for name in names if name not in test])):
            rows = "".join(f"{name},{labels[name]}\n" for name in chosen)
            text(root / f"EmoLabel_DataSplit/{part}(single-labeled)/set_{fold}.csv", "video_name,label\n" + rows)


def test_dfew_folders_of_frames_and_official_folds(tmp_path: Path) -> None:
    labels = {str(k): 1 + k % 7 for k in range(1, 11)}
    splits(tmp_path, labels)
    for k in range(1, 10):
        for frame in (1, 2, 11):
            picture(tmp_path / f"Clip/clip_224x224/{k:05d}/{k:05d}_{frame:05d}.jpg")
    found = dfew.find(tmp_path)
    assert len(found.recordings) == 9
    first = found.recordings[0]
    assert (first.name, first.subject, first.expression, first.cropped) == ("00001", "00001", "sadness", True)
    assert [path.stem[-2:] for path in first.files] == ["01", "02", "11"]
    assert "has no clip 10" in found.left_out["00010"]
    test = [row for row in found.folds if row["part"] == "test"]
    assert sorted(row["sequence"] for row in test) == [f"{k:05d}" for k in range(1, 11)]
    assert {row["fold"] for row in test} == {"1", "2", "3", "4", "5"}
    assert not found.notes


def test_dfew_labels_that_count_from_zero_are_recognised_and_said(tmp_path: Path) -> None:
    splits(tmp_path, {f"{k:05d}": k % 7 for k in range(1, 15)})
    for k in range(1, 15):
        for frame in (1, 2, 10):
            picture(tmp_path / f"Clip/clip_224x224_16f/{k}/{frame}.jpg")
    found = dfew.find(tmp_path)
    assert any("count from 0" in note for note in found.notes)
    assert found.recordings[6].expression == "happiness"  # clip 7: label 0
    assert [path.stem for path in found.recordings[0].files] == ["1", "2", "10"]


@pytest.mark.parametrize("first", [0, 1])
def test_dfew_numbers_mean_the_same_in_all_files_whether_they_count_from_0_or_1(tmp_path: Path, first: int) -> None:
    """Seven clips of each expression, so that every one is tested in every file."""
    order = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")
    splits(tmp_path, {f"{k:05d}": first + k % 7 for k in range(35)})
    for k in range(35):
        text(tmp_path / f"Clip/clip_224x224_avi/{k:05d}.avi", "film")
    found = dfew.find(tmp_path, "clip_224x224_avi")
    assert {one.name: one.expression for one in found.recordings} == {f"{k:05d}": order[k % 7] for k in range(35)}
    assert not found.left_out
    for fold in range(1, 6):
        parts = {
            part: {row["sequence"] for row in found.folds if (row["fold"], row["part"]) == (str(fold), part)}
            for part in ("train", "test")
        }
        assert parts["test"] == {f"{k:05d}" for k in range(fold - 1, 35, 5)}
        assert parts["train"] == {f"{k:05d}" for k in range(35)} - parts["test"]


def test_dfew_labels_count_from_zero_also_where_the_first_files_have_no_zero(tmp_path: Path) -> None:
    splits(tmp_path, {f"{k:05d}": (3, 4, 5, 6, 0)[k % 5] for k in range(10)})  # fold 5 alone tests label 0
    (tmp_path / "EmoLabel_DataSplit/train(single-labeled)/set_1.csv").unlink()
    for k in range(10):
        text(tmp_path / f"Clip/clip_224x224_avi/{k}.avi", "film")
    found = dfew.find(tmp_path, "clip_224x224_avi")
    assert [one.expression for one in found.recordings] == 2 * ["anger", "surprise", "disgust", "fear", "happiness"]


def test_dfew_films_damaged_rows_and_clips_with_two_labels(tmp_path: Path) -> None:
    text(
        tmp_path / "EmoLabel_DataSplit/train(single-labeled)/set_1.csv",
        "video_name,label\n1,3\n2,4\n3,many\n4,8\n5,7\n",
    )
    text(tmp_path / "EmoLabel_DataSplit/test(single-labeled)/set_1.csv", "video_name,label\n2,5\n")
    for k in (1, 2, 5):
        text(tmp_path / f"Clip/clip_224x224_avi/{k}.avi", "film")
    found = dfew.find(tmp_path, "clip_224x224_avi")
    assert [(one.name, one.expression) for one in found.recordings] == [("00001", "neutral"), ("00005", "fear")]
    assert "two labels: 4 and 5" in found.left_out["00002"]
    assert sum("is no clip with a label" in note for note in found.notes) == 2
    with pytest.raises(InputError, match="holds no original"):
        dfew.find(tmp_path, "original")
    text(tmp_path / "EmoLabel_DataSplit/test(single-labeled)/set_1.csv", "name,label\n2,5\n")
    with pytest.raises(InputError, match="no column video_name"):
        dfew.find(tmp_path)


def test_dfew_labels_from_the_annotation_where_there_are_no_splits(tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["1happy", "2sad", "3neutral", "4angry", "5surprise", "6disgust", "7fear", "order", "annotation"])
    sheet.append([9, 0, 1, 0, 0, 0, 0, 1, 1])
    sheet.append([3, 3, 4, 0, 0, 0, 0, 2, 0])
    (tmp_path / "Annotation").mkdir()
    book.save(tmp_path / "Annotation/annotation.xlsx")
    for k in (1, 2):
        picture(tmp_path / f"Clip/original/{k:05d}/1.jpg")
    found = dfew.find(tmp_path)
    assert [(one.name, one.expression, one.cropped) for one in found.recordings] == [("00001", "happiness", False)]
    (tmp_path / "Annotation/annotation.xlsx").write_bytes(b"PK no workbook")
    with pytest.raises(InputError, match="cannot be read as DFEW's annotation"):
        dfew.find(tmp_path)
