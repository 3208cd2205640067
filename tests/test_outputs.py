"""What `tfen analyze` and `tfen landmarks` write, as other programs read it; and what Python gets."""

import csv
import json
import os
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import openpyxl
import pytest
from conftest import refuses, rows
from films import actor, damage, paste, scene, still, write_film

from tfen import Analyzer
from tfen.cli import main
from tfen.errors import InputError
from tfen.inference.annotate import place_labels
from tfen.inference.inputs import find_sources
from tfen.inference.rows import escaped, unescaped
from tfen.video.reading import Frame


def run(command: str, *arguments: object, code: int = 0) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, *(str(argument) for argument in arguments)])
    assert ended.value.code == code


def faces_per_time(analyzer: Analyzer, images: list[np.ndarray], times: list[float]) -> list[tuple[float, int | None]]:
    found = analyzer(Frame(k, time, image) for k, (image, time) in enumerate(zip(images, times)))
    return [(result.time, result.face) for result in found]


@pytest.mark.parametrize("gap", [1.0, 2.0, 30.0])
def test_time_lapse_keeps_its_faces(gap: float, actors: Path, weights: Path) -> None:
    images, _ = still(actors, 0.5)
    times = [gap * k for k in range(5)]
    assert faces_per_time(Analyzer(weights), images[:5], times) == [(time, 0) for time in times]


def test_a_film_whose_frames_stop_for_a_while_keeps_its_faces(actors: Path, weights: Path) -> None:
    images, times = still(actors, 2.0)
    stopped = [time + (7 if k >= 12 else 0) + (5 if k >= 13 else 0) for k, time in enumerate(times)]
    seen = faces_per_time(Analyzer(weights), images, stopped)
    assert all(face is not None for _, face in seen)
    assert stopped[12] in [time for time, _ in seen]  # alone between two gaps


def test_a_face_that_is_seen_once_in_a_film_is_no_face(actors: Path, weights: Path) -> None:
    images, times = still(actors, 2.0)
    back = scene(0)
    blink = [image if k == 10 else back for k, image in enumerate(images)]
    assert {face for _, face in faces_per_time(Analyzer(weights), blink, times)} == {None}


def test_damage_ends_with_code_three_and_is_counted(actors: Path, weights: Path, tmp_path: Path) -> None:
    film = damage(write_film(tmp_path / "a.avi", *still(actors, 2.0), "mpeg4"), range(14, 18))
    run("analyze", film, "--out", tmp_path / "out", "--weights", weights, code=3)
    (told,) = rows(tmp_path / "out" / "files.csv")
    assert told["status"] == "damaged"
    assert int(told["frames_lost"]) > 0
    assert int(told["frames"]) + int(told["frames_lost"]) == 25


def test_pictures_and_films_of_one_name_are_told_apart(actors: Path, weights: Path, tmp_path: Path) -> None:
    images, times = still(actors, 0.4)
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        write_film(tmp_path / folder / "trial1.mp4", images, times)
    out = tmp_path / "out"
    run("analyze", tmp_path / "x", tmp_path / "y", "--out", out, "--weights", weights)
    stems = {row["file"]: row["stem"] for row in rows(out / "files.csv")}
    assert stems == {str(tmp_path / "x/trial1.mp4"): "trial1", str(tmp_path / "y/trial1.mp4"): "trial1-2"}
    assert all((out / "pictures" / f"{stem}.png").exists() for stem in stems.values())


def test_spreadsheets_get_texts_as_texts_and_numbers_as_numbers(actors: Path, weights: Path, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    image = still(actors, 0.1)[0][0]
    for name in ("=1+1.png", "@a.png", "'quoted.png", "plain.png"):
        cv2.imwrite(str(folder / name), image[..., ::-1])
    out = tmp_path / "out"
    before = Path.cwd()
    os.chdir(folder)
    try:
        run("analyze", "=1+1.png", "@a.png", "'quoted.png", "plain.png", "--out", out, "--weights", weights, "--xlsx")
    finally:
        os.chdir(before)
    assert [row["file"] for row in rows(out / "results.csv")] == ["'=1+1.png", "'@a.png", "''quoted.png", "plain.png"]
    assert [unescaped(escaped(name)) for name in ("=a", "'=a", "-1", "a")] == ["=a", "'=a", "-1", "a"]
    assert json.loads((out / "results.jsonl").read_text().splitlines()[0])["file"] == "=1+1.png"
    book = openpyxl.load_workbook(out / "results.xlsx")
    assert book.sheetnames == ["results", "episodes", "summary", "files"]
    header, first, *_ = book["results"].iter_rows()
    cells = {name.value: cell for name, cell in zip(header, first)}
    assert (cells["file"].value, cells["file"].data_type) == ("=1+1.png", "s")
    assert cells["confidence"].data_type == cells["face"].data_type == "n"
    assert [row[0] for row in book["files"].iter_rows(min_row=2, values_only=True)] == [
        "=1+1.png", "@a.png", "'quoted.png", "plain.png",
    ]  # fmt: skip


def test_boris_gets_what_it_asks_for_of_every_film(actors: Path, weights: Path, tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.mp4", *still(actors, 2.0))
    photograph = tmp_path / "b.png"
    cv2.imwrite(str(photograph), scene(1))
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        run("analyze", "a.mp4", "b.png", "--out", "out", "--weights", weights, "--boris")
    finally:
        os.chdir(before)
    project = json.loads((tmp_path / "out/boris/tfen.boris").read_text())
    (observation,) = project["observations"].values()
    info = observation["media_info"]
    assert observation["file"]["1"] == [str(film)]
    assert info["length"] == {str(film): pytest.approx(2.0, abs=0.1)}
    assert info["fps"] == {str(film): pytest.approx(12.5, abs=0.5)}
    assert (info["hasVideo"], info["hasAudio"]) == ({str(film): True}, {str(film): False})
    if shutil.which("boris") is None:
        return  # BORIS itself opens and exports the project where it is installed
    code = (
        "import sys\nfrom PyQt5.QtWidgets import QApplication\napp = QApplication([])\n"
        "from boris import project_functions as p\nprint(p.open_project_json(sys.argv[1])[2].get('error', 'fine'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out/boris/tfen.boris")], capture_output=True, text=True,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
    )  # fmt: skip
    assert done.stdout.strip().endswith("fine"), done.stderr


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_annotated_films_keep_their_sound(codec: str, actors: Path, weights: Path, tmp_path: Path) -> None:
    images, times = still(actors, 2.0)
    film = tmp_path / "a.mkv"
    with av.open(str(film), "w") as out:
        video, audio = out.add_stream("libx264", rate=25), out.add_stream(codec, rate=8000, layout="mono")
        video.width, video.height, video.pix_fmt = 640, 360, "yuv420p"
        packets = []
        for image, time in zip(images, times):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(1000 * time) + 500, Fraction(1, 1000)  # half a second after the sound
            packets += video.encode(frame)
        for k in range(20):
            wave = np.sin(np.arange(1000) / 4 + 250 * k) * (0.8 if k >= 8 else 0)  # silent for the first second
            sound = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="fltp", layout="mono")
            sound.rate, sound.pts, sound.time_base = 8000, 1000 * k, Fraction(1, 8000)
            packets += audio.encode(sound) if codec == "aac" else []
            if codec != "aac":
                plain = av.AudioFrame.from_ndarray((wave[None] * 32000).astype(np.int16), format="s16", layout="mono")
                plain.rate, plain.pts, plain.time_base = 8000, 1000 * k, Fraction(1, 8000)
                packets += audio.encode(plain)
        packets += [*video.encode(None), *audio.encode(None)]
        for packet in sorted(packets, key=lambda one: one.dts * one.time_base):
            out.mux(packet)
    run("analyze", film, "--out", tmp_path / "out", "--weights", weights, "--annotate")
    with av.open(str(tmp_path / "out/films/a.mp4")) as annotated:
        heard = [(frame.time, np.abs(frame.to_ndarray()).max()) for frame in annotated.decode(audio=0)]
    with av.open(str(tmp_path / "out/films/a.mp4")) as annotated:
        seen = [frame.time for frame in annotated.decode(video=0)]
    assert seen[:2] == pytest.approx([0, 0.5], abs=0.06)
    assert len(seen) == len(images) + 1
    loud = min(time for time, level in heard if level > (0.3 if heard[0][1] < 1 else 9000))
    assert loud == pytest.approx(1.0, abs=0.15)


def test_labels_cover_no_face_and_no_other_label() -> None:
    size, side = (1280, 720), 90
    boxes = [(20.0 + 125 * (k % 10), 60.0 + 190 * (k // 10), side, side) for k in range(30)]
    labels = [(f"{k}  happiness 83 %", f"{k} hap 83", f"{k}") for k in range(30)]
    places = place_labels(labels, boxes, size, 26)
    plates = [(x, y, x + words.shape[1] + 8, y + words.shape[0] + 4) for x, y, words in places]
    squares = [(x, y, x + w, y + h) for x, y, w, h in boxes]
    for k, plate in enumerate(plates):
        assert 0 <= plate[0] <= plate[2] <= size[0]
        assert 0 <= plate[1] <= plate[3] <= size[1]
        for other in (*squares, *plates[:k]):
            assert not (plate[0] < other[2] and other[0] < plate[2] and plate[1] < other[3] and other[1] < plate[3])


def test_folders_say_what_they_pass_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for name in ("a.png", "b.MTS", "notes.txt", "more.txt", "._a.png", ".DS_Store", ".hidden/c.png", "sub/d.heic"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "before").mkdir()
    for name in ("analysis.json", "a.png"):
        (tmp_path / "before" / name).write_bytes(b"x")
    found = [Path(source.name).relative_to(tmp_path).as_posix() for source in find_sources([str(tmp_path)])]
    assert found == ["a.png", "b.MTS", "sub/d.heic"]
    assert "passed over what is neither film nor photograph: 2 .txt" in caplog.text


def test_long_names_cost_nothing(actors: Path, weights: Path, tmp_path: Path) -> None:
    image = still(actors, 0.1)[0][0]
    film = write_film(tmp_path / "a.mp4", *still(actors, 0.4))
    longest = tmp_path / f"{'ä' * 125}.mp4"  # 254 bytes
    film.rename(longest)
    cv2.imwrite(str(tmp_path / "b.png"), image)
    out = tmp_path / "out"
    run("analyze", longest, tmp_path / "b.png", "--out", out, "--weights", weights, "--annotate", "--elan")
    assert [row["status"] for row in rows(out / "files.csv")] == ["done", "done"]
    assert len(list((out / "films").iterdir())) == 1


def test_places_that_cannot_be_written_are_named(actors: Path, weights: Path, tmp_path: Path) -> None:
    photograph = tmp_path / "a.png"
    cv2.imwrite(str(photograph), still(actors, 0.1)[0][0])
    for place in ("/proc/nowhere/out", tmp_path / ("x" * 300), photograph / "out"):
        refuses("analyze", photograph, "--out", place, "--weights", weights, says="cannot write")


def test_landmarks_of_folders_and_of_files_of_one_name(actors: Path, tmp_path: Path) -> None:
    image = still(actors, 0.1)[0][0]
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "a.png"), image[..., ::-1])
    (tmp_path / "y" / "b.png").write_bytes(b"no picture")
    out = tmp_path / "marks.csv"
    run("landmarks", tmp_path / "x", tmp_path / "y", "--out", out, "--draw", tmp_path / "drawn", code=2)
    assert [row["file"] for row in csv.DictReader(out.open())] == [str(tmp_path / f"{name}/a.png") for name in "xy"]
    assert {path.name for path in (tmp_path / "drawn").iterdir()} == {"a-00001.png", "a-2-00001.png"}


def test_python_takes_pictures_of_all_kinds(actors: Path, weights: Path, tmp_path: Path) -> None:
    analyzer = Analyzer(weights)
    image = still(actors, 0.1)[0][0]
    (plain,) = analyzer(image)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    forms = [image / 255.0, (image / 255).astype(np.float32), np.dstack([image, grey]), tmp_path / "a.png"]
    for (other,) in analyzer.images(forms):
        assert other.box == pytest.approx(plain.box, abs=1)
        assert other.probabilities == pytest.approx(plain.probabilities, abs=1e-3)
    for form in (grey, grey[..., None], grey / 255):
        (other,) = analyzer(form)
        assert other.face == 0
    assert [len(own) for own in analyzer.images([image, scene(3)])] == [1, 1]
    (film,) = list(analyzer([Frame(0, 0.0, image)]))
    assert (film.box, film.window) == (plain.box, plain.window)
    assert film.probabilities == pytest.approx(plain.probabilities, abs=1e-5)


def test_python_gets_a_sentence_for_what_cannot_be_analyzed(weights: Path, tmp_path: Path) -> None:
    analyzer = Analyzer(weights)
    picture = np.zeros((8, 8, 3), np.uint8)
    for wrong, says in (
        ([picture, picture], "call Analyzer"), (tmp_path, "is a folder"), (picture.astype(np.float32) + 7, "from 7 to 7"),
        (picture.astype(np.int64), "int64"), (np.zeros((2, 8, 8, 3), np.uint8), "shape"), (None, "NoneType"),
        (picture * np.nan, "no image"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=says):
            list(analyzer(wrong))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="colour"):
        Analyzer(weights, colour=1)
    with pytest.raises(InputError, match="did you mean haar"):
        Analyzer(weights, detector="har")


def test_results_as_a_data_frame(actors: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    analyzer = Analyzer(weights)
    image = still(actors, 0.1)[0][0]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match="pip install pandas"):
        analyzer.dataframe(image)
    monkeypatch.undo()
    pandas = pytest.importorskip("pandas")
    table = analyzer.dataframe(image)
    assert isinstance(table, pandas.DataFrame)
    assert table["face"].tolist() == [0]
    assert table["label"][0] in analyzer.expressions


def test_a_photograph_that_a_face_fills_is_looked_at_with_a_border(actors: Path, weights: Path) -> None:
    face = cv2.resize(actor(actors, "s0000-neutral")[0][38:120, 38:112], (300, 330), interpolation=cv2.INTER_CUBIC)
    (result,) = Analyzer(weights)(face)
    assert result.face == 0
    assert result.box is not None
    left, top, width, height = result.box
    assert (left + width / 2, top + height / 2) == (pytest.approx(150, abs=40), pytest.approx(165, abs=50))


def test_faces_that_are_hard_to_judge_need_more_confidence(actors: Path, weights: Path) -> None:
    face = actor(actors, "s0000-neutral")[0]
    images = [paste(scene(0, (240, 190)), cv2.resize(face, None, fx=k, fy=k, interpolation=cv2.INTER_AREA), 60, 40) for k in (0.31, 1.0)]  # fmt: skip
    for bound, small_has_label in ((0.0, True), (1.0, False)):
        small, large = (own[0] for own in Analyzer(weights, min_confidence_hard=bound).images(images))
        assert small.size is not None and large.size is not None
        assert small.size < 32 < large.size
        assert (small.label is not None, large.label is not None) == (small_has_label, True)
