"""Preparing: faces found, cut out and written; damage told; sources untouched; going on after a stop."""

import hashlib
import json
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from conftest import refuses, tfen

from tfen.data.prepare import PrepareSettings, _crops, _Record, read_landmarks
from tfen.data.prepared import open_set
from tfen.data.sources.recordings import Recording
from tfen.errors import InputError
from tfen.faces.align import Place, cut, place_from_landmarks
from tfen.faces.box import face_box
from tfen.faces.detection import Face
from tfen.video.reading import read_frames


def film(path: Path, frames: np.ndarray, rate: int = 25) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=Fraction(rate))
        stream.height, stream.width, stream.pix_fmt, stream.bit_rate = *frames.shape[1:3], "yuv420p", 2_000_000
        for frame in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode())


def shades(count: int, height: int = 48, width: int = 64) -> np.ndarray:
    return np.stack([np.full((height, width, 3), 10 + 10 * k, np.uint8) for k in range(count)])


def test_frames_of_a_film_come_in_order_with_their_times(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", shades(8), rate=10)
    frames = list(read_frames(tmp_path / "a.mp4"))
    assert [frame.time for frame in frames] == pytest.approx([k / 10 for k in range(8)])
    assert [int(frame.image.mean()) for frame in frames] == pytest.approx([10 + 10 * k for k in range(8)], abs=3)


def test_a_film_that_breaks_off_yields_what_there_is_and_nonsense_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    film(tmp_path / "a.avi", rng.integers(0, 255, (30, 48, 64, 3), np.uint8))
    whole = (tmp_path / "a.avi").read_bytes()
    (tmp_path / "half.avi").write_bytes(whole[: len(whole) // 2])
    assert 5 <= len(list(read_frames(tmp_path / "half.avi"))) < 30
    for name, content in (("empty.avi", b""), ("noise.mp4", bytes(range(256)) * 20)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="cannot be read as a film"):
            list(read_frames(tmp_path / name))


def test_a_crop_puts_the_centre_in_the_middle_and_levels_the_eyes() -> None:
    image = np.zeros((200, 300, 3), np.uint8)
    points = np.tile([150.0, 100.0], (68, 1))
    angle = np.radians(20)
    across, down = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    left, right, mouth = 150 - 30 * across[0], 150 + 30 * across[0], np.array([150, 100]) + 60 * down
    eyes = [np.array([left, 100 - 30 * across[1]]), np.array([right, 100 + 30 * across[1]])]
    points[36:42], points[42:48], points[48:60] = eyes[0], eyes[1], mouth
    for eye in eyes:
        cv2.circle(image, tuple(np.round(eye).astype(int).tolist()), 4, (255, 255, 255), -1)
    place = place_from_landmarks(points, "eyes")
    assert place.angle == pytest.approx(20)
    crop = cut(image, place, 100)
    rows, columns = np.where(crop[..., 0] > 128)
    halves = rows[columns < 50].mean(), rows[columns > 50].mean()
    assert halves[0] == pytest.approx(halves[1], abs=1)
    assert columns.mean() == pytest.approx(49.5, abs=1)
    assert place_from_landmarks(points, "none").angle == 0
    centre, side = face_box(eyes[0], eyes[1], mouth)
    assert (place.x, place.y, place.side) == pytest.approx((*centre, side))


def test_a_small_crop_of_a_large_face_is_averaged() -> None:
    image = np.zeros((400, 400, 3), np.uint8)
    image[::2] = 255
    crop = cut(image, Place(200, 200, 300), 30)
    assert crop.std() < 10
    assert crop.mean() == pytest.approx(127, abs=6)


def test_frames_without_a_face_take_the_nearest_good_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Faces in frames 2 and 6 of 0 to 8: frames 0, 1, 3, 4 follow 2; 5, 7, 8 follow 6."""

    class Detector:
        name = "fake"

        def detect(self, image: np.ndarray) -> list[Face]:
            number = (int(image.mean()) - 10) // 10
            return [Face((10.0 * number, 5, 20, 20), 1)] if number in (2, 6) else []

    from tfen.data import prepare as module

    class Marks:
        sure = possible = 1.0

        def judge_all(self, image: np.ndarray, boxes: list[tuple[float, ...]]) -> list[tuple[np.ndarray, float]]:
            out = []
            for box in boxes:
                points = np.tile([box[0] + 10.0, 15.0], (68, 1))
                points[36:42, 0] -= 5
                points[42:48, 0] += 5
                out.append((points, 0.0))
            return out

    monkeypatch.setattr(module, "_detector", lambda name, model: Detector())
    monkeypatch.setattr(module, "packaged_landmarker", Marks)
    files = []
    for k, picture in enumerate(shades(9, 60, 120)):
        files.append(tmp_path / f"{k}.png")
        files[-1].write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    record = _Record()
    crops = list(_crops(Recording("a", "s", "fear", tuple(files)), PrepareSettings(size=32), record))
    assert len(crops) == 9
    assert [int(crop.mean()) for crop in crops] == pytest.approx([10 + 10 * k for k in range(9)], abs=1)
    assert record.marked == [0, 1, 3, 4, 5, 7, 8]
    assert [place[0] for place in record.places] == [30.0] * 5 + [70.0] * 4


def test_landmarks_of_ckplus_are_read_and_damage_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a_landmarks.txt"
    path.write_text("".join(f"   {k:.7e}   {2 * k:.7e} \n" for k in range(68)))
    assert read_landmarks(path)[3].tolist() == [3, 6]
    for damage in ("1 2\n" * 67, "1 2 3\n" * 68, "x y\n" * 68, "nan 1\n" * 68):
        path.write_text(damage)
        with pytest.raises(InputError, match="68 landmarks"):
            read_landmarks(path)


def folder_of_films(root: Path) -> Path:
    for expression in ("anger", "fear"):
        for subject in ("Ann", "Bö Å"):
            film(root / expression / subject / "take 1.avi", shades(5))
    return root


def test_films_of_ones_own_and_a_damaged_one_beside_them(tmp_path: Path) -> None:
    source = folder_of_films(tmp_path / "in")
    (source / "anger/Carl").mkdir()
    (source / "anger/Carl/broken.mp4").write_bytes(b"not a film")
    before = {path: hashlib.sha256(path.read_bytes()).digest() for path in source.rglob("*") if path.is_file()}
    done = tfen("prepare", "folder", source, tmp_path / "out", "--detector", "none", "--size", 32)
    assert done.returncode == 0, done.stderr
    assert "left out Carl-anger-broken" in done.stderr
    found = open_set(tmp_path / "out")
    assert {(one.subject, one.frames) for one in found.sequences} == {("Ann", 5), ("Bö Å", 5)}
    assert before == {path: hashlib.sha256(path.read_bytes()).digest() for path in before}


def test_a_stopped_preparation_goes_on_and_gives_the_same_bytes(tmp_path: Path) -> None:
    source = folder_of_films(tmp_path / "in")
    command = ["prepare", "folder", source, "--detector", "none", "--size", 32]
    assert tfen(*command[:3], tmp_path / "a", *command[3:]).returncode == 0
    assert tfen(*command[:3], tmp_path / "b", *command[3:], "--jobs", 2).returncode == 0
    record = next((tmp_path / "b/records").iterdir())
    kept = next((tmp_path / "b/frames").glob("*/00001.jpg"))
    stamp = kept.stat().st_mtime_ns
    record.unlink()
    (tmp_path / "b/sequences.csv").unlink()
    assert tfen(*command[:3], tmp_path / "b", *command[3:]).returncode == 0
    untouched = [p for p in (tmp_path / "b/frames").glob("*/00001.jpg") if p.parent.name != record.stem]
    assert kept not in untouched or kept.stat().st_mtime_ns == stamp
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(tmp_path / "b") for path in (tmp_path / "b").rglob("*") if path.is_file())
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)
    refuses(*command[:3], tmp_path / "b", "--detector", "none", "--size", 40, says="with size = 32, not 40")


def test_links_out_of_the_source_and_sets_without_a_face_are_told(tmp_path: Path) -> None:
    source = folder_of_films(tmp_path / "in")
    film(tmp_path / "secret.avi", shades(3))
    (source / "fear/Eve.avi").symlink_to(tmp_path / "secret.avi")
    done = tfen("prepare", "folder", source, tmp_path / "out", "--detector", "none")
    assert done.returncode == 0, done.stderr
    assert "leads out of" in json.loads((tmp_path / "out/prepared.json").read_text())["left_out"]["Eve-fear"]
    refuses("prepare", "folder", source, tmp_path / "other", says="no face was found")
    assert not (tmp_path / "other").exists()
    refuses("prepare", "folder", source, tmp_path / "y", "--detector", "mediapipe", says="needs its model")


@pytest.mark.parametrize("layout", ["ckplus", "mmi", "oulu-casia", "dfew"])
def test_official_folders_of_synthetic_people_are_prepared_whole(layout: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    made = tfen(
        "synth", source, "--layout", layout, "--subjects", 1, "--frames", 3, "--size", 160, "--seed", 1, "--jobs", 1
    )
    assert made.returncode == 0, made.stderr
    again = tfen(
        "synth", source, "--layout", layout, "--subjects", 1, "--frames", 3, "--size", 160, "--seed", 1, "--jobs", 1
    )
    assert again.returncode == 0, again.stderr
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    done = tfen("prepare", layout, source, tmp_path / "out", "--jobs", 1, "--contact-sheet", tmp_path / "sheet.png")
    assert done.returncode == 0, done.stderr
    found = open_set(tmp_path / "out")
    expected = {"ckplus": 7, "mmi": 6, "oulu-casia": 6, "dfew": 7}[layout]
    assert len(found.sequences) == expected
    assert len(found.expressions) == expected
    assert found.name == layout
    assert "published are" in done.stderr
    crop = cv2.imread(str(found.frame_files(found.sequences[0])[0]))
    assert crop is not None
    assert crop.shape == (244, 244, 3)
    if layout == "ckplus":
        assert int(np.abs(crop[..., 0].astype(int) - crop[..., 2]).max()) <= 2  # grey
    if layout == "dfew":
        assert (tmp_path / "out/official-folds.csv").exists()
    assert before == {path: path.read_bytes() for path in before}
    assert (tmp_path / "sheet.png").exists()
