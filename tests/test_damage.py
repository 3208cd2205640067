"""A hundred damaged inputs: each gets its sentence, the others are prepared, no source is changed, nothing crashes."""

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_prepare import film, shades

from tfen.data.prepare import PrepareSettings, prepare
from tfen.data.prepared import open_set
from tfen.data.sources import ckplus, dfew, folder, mmi, oulu_casia
from tfen.data.sources.recordings import Findings
from tfen.errors import InputError

JPEG = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8))[1].tobytes()
PNG = cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8))[1].tobytes()
READERS: dict[str, Callable[[Path], Findings]] = {
    "ckplus": ckplus.find,
    "mmi": mmi.find,
    "oulu-casia": oulu_casia.find,
    "dfew": dfew.find,
    "folder": folder.find,
}


def put(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.fixture(scope="session")
def avi(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("film") / "a.avi"
    film(path, shades(4))
    return path.read_bytes()


def lay(layout: str, root: Path, avi: bytes) -> None:
    """Lay a small official tree: three recordings with two expressions, of two subjects."""
    people = (("1", "anger", 1), ("1", "fear", 2), ("2", "fear", 1))
    for person, expression, k in people:
        if layout == "ckplus":
            stem = f"S00{person}/00{k}/S00{person}_00{k}_0000000"
            for frame in (1, 2):
                put(root / f"cohn-kanade-images/{stem}{frame}.png", PNG)
                put(
                    root / f"Landmarks/{stem}{frame}_landmarks.txt",
                    "".join(f"{10 + j % 9} {10 + j}\n" for j in range(68)),
                )
            put(root / f"Emotion/{stem}2_emotion.txt", {"anger": "1.0", "fear": "4.0"}[expression])
        elif layout == "mmi":
            place = root / f"Sessions/{person}{k}"
            put(place / f"S00{person}-00{k}.avi", avi)
            number = {"anger": 1, "fear": 3}[expression]
            put(place / f"S00{person}-00{k}.xml", f'<R><Metatag Name="Emotion" Value="{number}"/></R>')
            put(place / "session.xml", '<session><track view="0"/></session>')
        elif layout == "oulu-casia":
            for frame in range(2):
                put(root / f"OriginalImg/VL/Strong/P00{person}/{expression.capitalize()}/{frame:03d}.jpeg", JPEG)
        elif layout == "folder":
            for frame in range(2):
                put(root / expression / f"person {person}" / f"{frame}.jpg", JPEG)
    if layout == "dfew":
        for clip in (1, 2, 3):
            for frame in (1, 2):
                put(root / f"Clip/clip_224x224/{clip:05d}/{clip:05d}_{frame:05d}.jpg", JPEG)
        for fold in range(1, 6):
            put(root / f"EmoLabel_DataSplit/train(single-labeled)/set_{fold}.csv", "video_name,label\n1,4\n2,7\n")
            put(root / f"EmoLabel_DataSplit/test(single-labeled)/set_{fold}.csv", "video_name,label\n3,7\n")


def first(root: Path, pattern: str) -> Path:
    return sorted(root.rglob(pattern))[0]


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: max(1, path.stat().st_size // 3)])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(1).integers(0, 256, 500, np.uint8).tobytes())


def replaced_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent / "nowhere")


def outside(path: Path) -> None:
    source = next(parent for parent in path.parents if parent.name == "source")
    put(source.parent / "elsewhere.bin", path.read_bytes())
    path.unlink()
    path.symlink_to(source.parent / "elsewhere.bin")


def text(content: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.write_text(content, encoding="utf-8")

    return change


def renamed(name: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.rename(path.with_name(name + path.suffix))

    return change


BOMB = '<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><R>&b;<Metatag Name="Emotion" Value="1"/></R>'
FILES = {"ckplus": "*.png", "mmi": "*.avi", "oulu-casia": "*.jpeg", "dfew": "*.jpg", "folder": "*.jpg"}
MEDIA = {
    "cut off": cut_off,
    "empty": empty,
    "noise": noise,
    "text": text("this is no picture"),
    "folder": replaced_by_folder,
    "dangling": dangling,
    "outside": outside,
    "renamed": renamed("näme with spaces — ünïcode 名"),
    "gif header": lambda path: path.write_bytes(b"GIF89a" + bytes(50)),
    "huge header": lambda path: path.write_bytes(
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\x02\x00\x00\x00" + bytes(40)
    ),
}
LABELS: dict[str, tuple[str, dict[str, Callable[[Path], None]]]] = {
    "ckplus": (
        "*_emotion.txt",
        {name: text(words) for name, words in {"letters": "happy", "zero": "0", "nine": "9", "nan": "nan", "inf": "inf", "minus": "-3", "two": "1 2", "long": "1" * 5000, "blank": "   "}.items()}
        | {"noise": noise, "empty": empty, "folder": replaced_by_folder, "dangling": dangling},
    ),
    "mmi": (
        "S00*.xml",
        {name: text(words) for name, words in {"open": "<R>", "words": "no xml", "bomb": BOMB, "external": '<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]><R>&a;</R>', "letters": '<R><Metatag Name="Emotion" Value="joy"/></R>', "none": "<R/>", "big": '<R><Metatag Name="Emotion" Value="99999999999999999999"/></R>', "no value": '<R><Metatag Name="Emotion"/></R>', "encoding": '<?xml version="1.0" encoding="klingon"?><R/>', "deep": "<a>" * 3000}.items()}
        | {"noise": noise, "empty": empty, "folder": replaced_by_folder, "dangling": dangling},
    ),
    "dfew": (
        "set_1.csv",
        {name: text(words) for name, words in {"columns": "clip,emotion\n1,4\n", "letters": "video_name,label\n1,four\n2,7\n", "range": "video_name,label\n1,12\n2,7\n", "minus": "video_name,label\n1,-4\n2,7\n", "name": "video_name,label\n../1,4\n2,7\n", "ragged": "video_name,label\n1\n2,7,9,9\n", "quotes": 'video_name,label\n"1,4\n', "null": "video_name,label\n1\0,4\n2,7\n", "header": "video_name,label\n", "float": "video_name,label\n1,4.0\n2,7\n", "again": "video_name,label\n1,4\n1,4\n2,7\n"}.items()}
        | {"noise": noise, "empty": empty, "folder": replaced_by_folder, "dangling": dangling},
    ),
}  # fmt: skip
CASES = [(layout, FILES[layout], name, change) for layout in READERS for name, change in MEDIA.items()]
CASES += [
    (layout, pattern, name, change) for layout, (pattern, changes) in LABELS.items() for name, change in changes.items()
]
CASES += [
    ("ckplus", "*_landmarks.txt", name, change)
    for name, change in [
        ("short", text("1 2\n")),
        ("words", text("a b\n" * 68)),
        ("noise", noise),
        ("folder", replaced_by_folder),
        ("empty", empty),
    ]
]
CASES += [
    ("mmi", "session.xml", name, change)
    for name, change in [
        ("open", text("<session>")),
        ("bomb", text(BOMB)),
        ("noise", noise),
        ("folder", replaced_by_folder),
    ]
]


def test_there_are_a_hundred_of_them() -> None:
    assert len(CASES) >= 100


@pytest.mark.parametrize(("layout", "pattern", "name", "change"), CASES, ids=[f"{c[0]}-{c[1]}-{c[2]}" for c in CASES])
def test_damage_gets_its_sentence_and_the_others_are_prepared(
    layout: str, pattern: str, name: str, change: Callable[[Path], None], tmp_path: Path, avi: bytes
) -> None:
    root, out = tmp_path / "source", tmp_path / "out"
    lay(layout, root, avi)
    change(first(root, pattern))
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    try:
        findings = READERS[layout](root)
        prepare(root, out, layout, findings, PrepareSettings(detector="none", size=32), jobs=1)
    except InputError as error:
        assert len(str(error)) > 20
        assert "\n" not in str(error)
        assert layout in ("dfew", "folder") or "fewer" in str(error) or "at least two" in str(error), error
        assert not out.exists() or not (out / "sequences.csv").exists()
        shutil.rmtree(out, ignore_errors=True)
    else:
        found = open_set(out)
        assert len(found.sequences) >= 2
        for one in found.sequences:
            found.frame_files(one)
    assert before == {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
