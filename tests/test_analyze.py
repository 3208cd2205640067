"""Films, photographs and streams: from outside, by the files that come out."""

import http.server
import io
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import av
import cv2
import numpy as np
import pytest
import torch
from conftest import refuses, rows
from films import actor, paste, scene, shots, still, write_film

import tfen
from tfen import Analyzer, Result
from tfen.cli import main
from tfen.config import TestTimeAugmentation
from tfen.errors import InputError
from tfen.faces.detection import Face
from tfen.faces.detectors import DEFAULT_DETECTOR, make_detector
from tfen.faces.pose import pose
from tfen.inference.analyzer import open_source
from tfen.inference.annotate import AnnotatedFilm
from tfen.inference.colours import COLOURS, UNCLEAR, rgb
from tfen.inference.engine import Engine
from tfen.inference.episodes import EpisodeFinder
from tfen.inference.finding import FaceFinder, on_grid
from tfen.inference.stages import ahead
from tfen.labels import EXPRESSIONS
from tfen.models.weights import load
from tfen.video.reading import Frame

Row = dict[str, str]


def run(*arguments: object, code: int = 0) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["analyze", *(str(argument) for argument in arguments)])
    assert ended.value.code == code


def by_face(found: list[Row]) -> dict[str, list[Row]]:
    out: dict[str, list[Row]] = defaultdict(list)
    for row in found:
        out[row["face"]].append(row)
    return dict(out)


def test_tables_tell_who_shows_what_when(actors: Path, weights: Path, tmp_path: Path) -> None:
    one, two, back = actor(actors, "s0000-happiness"), actor(actors, "s0001-neutral"), scene(1)
    film = write_film(
        tmp_path / "a.mp4",
        *shots(lambda t: paste(paste(back, one[min(4, int(2 * t))], 60, 90), two[0], 400, 80), 2.6),
    )
    out = tmp_path / "out"
    run(film, "--out", out, "--weights", weights, "--annotate", "--elan", "--boris")
    found = rows(out / "results.csv")
    assert set(by_face(found)) == {"0", "1"}
    assert len({(row["frame"], row["face"]) for row in found}) == len(found)
    assert {row["face"]: len(own) for row, own in ((own[0], own) for own in by_face(found).values())} == {
        "0": 13,
        "1": 13,
    }
    for row in found:
        assert sum(float(row[name]) for name in EXPRESSIONS) == pytest.approx(1, abs=2e-3)
        said = max(EXPRESSIONS, key=lambda name: float(row[name]))
        assert row["label"] == said
        assert float(row["confidence"]) == pytest.approx(float(row[said]), abs=1e-3)
        assert float(row["window_start"]) <= float(row["time"]) <= float(row["window_end"])
        assert float(row["window_end"]) - float(row["window_start"]) <= 1.0
        centre = float(row["left"]) + float(row["width"]) / 2
        assert min(abs(centre - 135), abs(centre - 475)) < 25
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert [str(line["face"]) for line in lines] == [row["face"] for row in found]
    described = json.loads((out / "schema.json").read_text())
    assert list(lines[0]) == described["required"] == list(found[0])
    kinds = {"string": str, "integer": int, "number": (int, float), "null": type(None)}
    for name, rule in described["properties"].items():
        allowed = [rule["type"]] if isinstance(rule["type"], str) else rule["type"]
        assert all(any(isinstance(line[name], kinds[kind]) for kind in allowed) for line in lines), name
    people = rows(out / "summary.csv")
    assert [person["face"] for person in people] == ["0", "1"]
    assert all(person["results"] == "13" for person in people)
    (whole,) = rows(out / "files.csv")
    assert (whole["status"], whole["frames"], whole["faces"]) == ("done", "32", "2")
    with av.open(str(out / "films" / "a.mp4")) as annotated:
        pictures = [frame.to_ndarray(format="rgb24") for frame in annotated.decode(video=0)]
    assert len(pictures) == 32
    assert pictures[0].shape[1] == 640
    assert pictures[0].shape[0] > 360
    drawn = np.abs(pictures[16][:360].astype(int) - _frame(film, 16)).max(2) > 90
    assert 300 < drawn.sum() < 20000  # boxes and labels, and no more
    assert (out / "pictures" / "a.png").stat().st_size > 3000
    tree = ElementTree.parse(out / "elan" / "a.eaf").getroot()
    slots = {slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE", -1)) for slot in tree.iter("TIME_SLOT")}
    episodes = rows(out / "episodes.csv")
    marked = [
        (tier.get("TIER_ID"), one.findtext("ANNOTATION_VALUE"), slots[one.get("TIME_SLOT_REF1")], slots[one.get("TIME_SLOT_REF2")])
        for tier in tree.iter("TIER")
        for one in tier.iter("ALIGNABLE_ANNOTATION")
    ]  # fmt: skip
    assert sorted(marked) == sorted(
        (
            f"face {one['face']}",
            one["expression"],
            round(1000 * float(one["onset"])),
            round(1000 * float(one["offset"])),
        )
        for one in episodes
    )
    project = json.loads((out / "boris" / "tfen.boris").read_text())
    assert len(project["observations"]["a"]["events"]) == 2 * len(episodes)


def _frame(film: Path, number: int) -> np.ndarray:
    with av.open(str(film)) as file:
        return next(f for k, f in enumerate(file.decode(video=0)) if k == number).to_ndarray(format="rgb24").astype(int)


def test_who_crosses_leaves_and_comes_back_keeps_the_number_and_after_a_cut_nobody_does(
    actors: Path, weights: Path, tmp_path: Path
) -> None:
    one, two, back = actor(actors, "s0000-neutral")[0], actor(actors, "s0001-neutral")[0], scene(2)
    analyzer = Analyzer(weights)

    def centres(draw) -> dict[int, list[tuple[float, float]]]:
        images, times = shots(draw, 4.0)
        out: dict[int, list[tuple[float, float]]] = defaultdict(list)
        for result in analyzer(Frame(k, time, image) for k, (image, time) in enumerate(zip(images, times))):
            if result.face is not None and result.box is not None:
                out[result.face].append((result.time, result.box[0] + result.box[2] / 2))
        return out

    crossing = centres(lambda t: paste(paste(back, two, 440 - int(100 * t), 80), one, 20 + int(100 * t), 100))
    assert set(crossing) == {0, 1}
    for path in crossing.values():  # each goes its own way to the end
        speeds = np.diff([x for _, x in path]) / np.diff([time for time, _ in path])
        assert (np.sign(speeds) == np.sign(speeds[0])).all()
        assert path[-1][0] > 3.5
    left = centres(lambda t: paste(back, one, 400 if not 1 < t < 2.2 else 700, 90))
    assert set(left) == {0}
    assert max(np.diff([time for time, _ in left[0]])) > 1
    other = scene(7)
    cut = centres(lambda t: paste(back, one, 200, 90) if t < 2 else paste(other, two, 200, 90))
    assert set(cut) == {0, 1}
    assert max(time for time, _ in cut[0]) < 2 <= min(time for time, _ in cut[1])


class Counting:
    """A detector that counts how often it is asked."""

    name = "counting"

    def __init__(self) -> None:
        self.inner, self.asked = make_detector(DEFAULT_DETECTOR), 0

    def detect(self, image: np.ndarray) -> list[Face]:
        self.asked += 1
        return self.inner.detect(image)


def test_the_detector_looks_again_every_third_step_and_where_a_face_is_lost_new_or_cut_to(actors: Path) -> None:
    one, two, back = actor(actors, "s0000-happiness"), actor(actors, "s0001-neutral"), scene(1)
    detector = Counting()
    finder = FaceFinder(detector, 40, 5)

    def step(image: np.ndarray) -> tuple[int, int, int]:
        """Return how often the detector was asked, how many faces there are, and how many it has a score for."""
        before = detector.asked
        faces = finder.faces(image)
        return detector.asked - before, len(faces), sum(face.score > 0 for face in faces)

    alone = [step(paste(back, one[0], 100 + 4 * k, 90)) for k in range(7)]
    assert alone == [(1, 1, 1), (0, 1, 1), (0, 1, 1)] * 2 + [(1, 1, 1)]
    both = paste(paste(back, one[0], 124, 90), two[0], 500, 90)
    assert [count for _, count, _ in (step(both) for _ in range(3))][-1] == 2
    assert [step(back)[:2] for _ in range(2)] == [(1, 0), (1, 0)]  # all lost: looked at at once, and at every step
    assert step(paste(back, one[0], 100, 90))[:2] == (1, 1)
    other = 255 - scene(7)
    assert step(paste(other, two[0], 300, 90))[:2] == (1, 1)


@pytest.mark.parametrize("views", [1, 6])
def test_streamed_scores_are_those_of_whole_clips(actors: Path, weights: Path, views: TestTimeAugmentation) -> None:
    face, back = actor(actors, "s0001-happiness"), scene(3)
    images, times = shots(lambda t: paste(back, face[min(4, int(2 * t))], 100 + int(30 * t), 90), 3.0)
    analyzer = Analyzer(weights, smoothing=0, test_time_augmentation=views)
    streamed = list(analyzer(Frame(k, time, image) for k, (image, time) in enumerate(zip(images, times))))
    loaded = load(weights)
    engine = Engine(loaded, views)
    finder = FaceFinder(make_detector(DEFAULT_DETECTOR), engine.size, 5)
    steps = list(finder.steps(on_grid([Frame(k, t, i) for k, (i, t) in enumerate(zip(images, times))], 0.2, 5)))
    crops = [step.faces[0].crop for step in steps]
    assert len(streamed) == len(steps)
    for k, result in enumerate(streamed):
        window = [crops[int(np.clip(j, 0, len(crops) - 1))] for j in range(k - 2, k + 3)]
        grey = (
            np.stack([cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) for crop in window])[:, 1:33, 1:33].astype(np.float32)
            / 255
        )
        pixels = torch.from_numpy(grey)[:, None].expand(-1, 3, -1, -1)
        pixels = (pixels - pixels.mean((1, 2, 3), keepdim=True)) / (pixels.std((1, 2, 3), keepdim=True) + 0.02)
        with torch.inference_mode():
            said = loaded.network(pixels[None])
        expected = (said / 0.5).softmax(1)[0].numpy() if views == 1 else engine.scores([engine.encode(window)])[0]
        assert result.probabilities is not None
        assert np.abs(np.array(list(result.probabilities.values())) - expected).max() < 1e-4


def test_time_is_counted_by_time_stamps_not_by_frames(actors: Path, weights: Path, tmp_path: Path) -> None:
    images, times = still(actors, 2.0)
    uneven = [time + (1.5 if time > 1 else 0) for time in times]
    film = write_film(tmp_path / "uneven.mp4", images, uneven)
    found = list(Analyzer(weights)(film))
    frames = [result.frame for result in found]
    assert [result.time for result in found] == pytest.approx([uneven[k] for k in frames], abs=2e-3)
    assert len(set(frames)) == len(frames)
    gaps = np.diff([result.time for result in found])
    assert gaps.max() > 1.4
    assert np.median(gaps) == pytest.approx(0.2, abs=0.05)


def test_photographs_are_films_of_one_frame(
    actors: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    images, _ = still(actors, 0.1)
    for name in ("ä b.png", "c.jpg"):
        cv2.imencode(Path(name).suffix, images[0][..., ::-1])[1].tofile(folder / name)
    cv2.imwrite(str(folder / "empty.png"), scene(4)[..., ::-1])
    monkeypatch.chdir(tmp_path)
    run(folder, "--weights", weights)
    found = rows(tmp_path / "photos-expressions" / "results.csv")
    assert [(Path(row["file"]).name, row["face"]) for row in found] == [
        ("c.jpg", "0"),
        ("empty.png", ""),
        ("ä b.png", "0"),
    ]
    assert found[1]["label"] == found[1]["happiness"] == ""
    (alone,) = list(Analyzer(weights)(images[0]))
    assert alone.face == 0
    assert alone.confidence == pytest.approx(float(found[2]["confidence"]), abs=1e-3)


def test_results_below_the_least_confidence_get_no_label(actors: Path, weights: Path, tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.mp4", *still(actors, 1.0))
    assert all(
        result.label is None and result.confidence is not None for result in Analyzer(weights, min_confidence=1.0)(film)
    )
    assert all(result.label is not None for result in Analyzer(weights)(film))


def asked_about(analyzer: Analyzer, film: Path, calm: list[float]) -> list[list[int]]:
    """Return the windows that the network is asked about, as numbers of the steps; `calm`: how calm it finds each step."""
    windows: list[list[int]] = []
    numbers = itertools.count()

    def scores(asked: list[list[int]]) -> np.ndarray:
        (window,) = asked
        windows.append(window)
        out = np.full((1, 8), (1 - calm[window[2]]) / 7)
        out[0, analyzer.expressions.index("neutral")] = calm[window[2]]
        return out

    analyzer.engine.encode = lambda crops: [next(numbers) for _ in crops]  # type: ignore[method-assign, assignment]
    analyzer.engine.scores = scores  # type: ignore[method-assign, assignment]
    list(analyzer(film))
    return windows


def test_the_calmest_frame_so_far_comes_before_what_a_face_shows(actors: Path, weights: Path, tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.mp4", *still(actors, 2.0))
    calm = [0.4, 0.6, 0.1, 0.55, 0.1, 0.9, 0.1, 0.1, 0.1, 0.1]
    learned = load(weights)
    learned.settings.data.reference = 0.4
    plain = [[max(0, k - 2), max(0, k - 1), k, min(9, k + 1), min(9, k + 2)] for k in range(10)]
    assert asked_about(Analyzer(weights), film, calm) == plain
    assert asked_about(Analyzer(learned, reference=False), film, calm) == plain
    references = [None, None, 1, 1, 1, 1, 5, 5, 5, 5]  # step 0 is not calm enough; 1 is, until 5 is calmer
    expected = [own if first is None else [first, *own[1:]] for first, own in zip(references, plain, strict=True)]
    assert asked_about(Analyzer(learned), film, calm) == expected
    assert asked_about(Analyzer(learned), film, [0.45] * 10) == plain  # who is never calm has none


@pytest.mark.parametrize("kind", ["rotated", "odd", "ten bits", "grey", "matroska"])
def test_films_of_all_kinds_are_read(kind: str, actors: Path, weights: Path, tmp_path: Path) -> None:
    images, times = still(actors, 1.0)
    if kind == "odd":
        film = write_film(tmp_path / "a.mp4", [image[:359, :637] for image in images], times, "mpeg4")
    elif kind == "ten bits":
        film = write_film(tmp_path / "a.mp4", images, times, "libx264", "yuv420p10le")
    elif kind == "grey":
        film = write_film(tmp_path / "a.mp4", images, times, "libx264", "gray")
    elif kind == "matroska":
        film = write_film(tmp_path / "a.mkv", images, times)
    else:
        film = write_film(tmp_path / "a.mp4", [np.ascontiguousarray(np.rot90(image)) for image in images], times)
        _turn(film)
    found = list(Analyzer(weights)(film))
    assert {result.face for result in found} == {0}
    assert all(result.box is not None and abs(result.box[0] + result.box[2] / 2 - 275) < 25 for result in found)


def _turn(film: Path) -> None:
    """Write into an mp4's header that its pictures are to be turned a quarter (the matrix of its track)."""
    data = bytearray(film.read_bytes())
    at = data.index(b"tkhd") + 4 + 4 + 20 + 16
    matrix = (0, 0x10000, 0, -0x10000 & 0xFFFFFFFF, 0, 0, 0, 0, 0x40000000)
    data[at : at + 36] = b"".join(value.to_bytes(4, "big") for value in matrix)
    film.write_bytes(bytes(data))


def test_a_broken_film_keeps_what_was_seen_and_others_go_on(
    actors: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    films = tmp_path / "films"
    films.mkdir()
    images, times = still(actors, 4.0)
    write_film(films / "whole.mkv", images, times)
    whole = (films / "whole.mkv").read_bytes()
    (films / "broken.mkv").write_bytes(whole[: len(whole) // 2])
    (films / "empty.mp4").write_bytes(b"")
    (films / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    with av.open(str(films / "sound.mp4"), "w") as out:
        stream = out.add_stream("aac", rate=44100)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        sound.rate = 44100
        for packet in [*stream.encode(sound), *stream.encode(None)]:
            out.mux(packet)
    run(films, "--out", tmp_path / "out", "--weights", weights, code=2)
    told = {Path(row["file"]).name: row for row in rows(tmp_path / "out" / "files.csv")}
    assert {name: row["status"] for name, row in told.items()} == {
        "broken.mkv": "broke off", "empty.mp4": "failed", "noise.mp4": "failed", "sound.mp4": "failed", "whole.mkv": "done",
    }  # fmt: skip
    assert "no video track" in told["sound.mp4"]["note"]
    assert 10 < int(told["broken.mkv"]["frames"]) < 40
    found = rows(tmp_path / "out" / "results.csv")
    assert {Path(row["file"]).name for row in found} == {"broken.mkv", "whole.mkv"}
    told_of = capsys.readouterr()
    assert "Traceback" not in told_of.err
    assert "2 analyzed, 3 could not be read, 1 are damaged (see files.csv)" in told_of.out
    run(films, "--out", tmp_path / "out", "--weights", weights, code=2)  # they still cannot be read
    assert "2 analyzed, 3 could not be read, 1 are damaged (see files.csv)" in capsys.readouterr().out


def test_an_analysis_goes_on_where_it_was(
    actors: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, number in (("a", 0), ("b", 1)):
        write_film(tmp_path / f"{name}.mp4", *still(actors, 1.2, number))
    a, b = tmp_path / "a.mp4", tmp_path / "b.mp4"
    run(a, b, "--out", tmp_path / "at-once", "--weights", weights, "--boris")
    run(a, "--out", tmp_path / "stopped", "--weights", weights)
    with (tmp_path / "stopped" / "results.csv").open("a") as file:
        file.write(f"{b},0.0,0,0,17")  # as a run leaves it that is killed in the middle of a file
    capsys.readouterr()
    run(a, b, "--out", tmp_path / "stopped", "--weights", weights, "--boris")
    assert "1 of 2 files: done before" in capsys.readouterr().err
    for name in ("results.csv", "results.jsonl", "episodes.csv", "summary.csv", "files.csv", "boris/tfen.boris"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "at-once" / name).read_bytes(), name
    run(b, "--out", tmp_path / "stopped", "--weights", weights, "--boris")  # what is there of a stays
    assert "2 analyzed" in capsys.readouterr().out
    assert (tmp_path / "stopped/boris/tfen.boris").read_bytes() == (tmp_path / "at-once/boris/tfen.boris").read_bytes()


def test_standard_input_and_a_stream_that_dies(actors: Path, weights: Path, tmp_path: Path) -> None:
    images, times = still(actors, 3.0)
    data = write_film(tmp_path / "a.mkv", images, times).read_bytes()
    command = [
        sys.executable,
        "-m",
        "tfen.cli",
        "analyze",
        "-",
        "--out",
        str(tmp_path / "piped"),
        "--weights",
        str(weights),
    ]
    done = subprocess.run(command, input=data, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert {row["face"] for row in rows(tmp_path / "piped" / "results.csv")} == {"0"}

    class Dying(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) * 2 // 3])

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Dying)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        run(f"http://127.0.0.1:{server.server_port}/a.mkv", "--out", tmp_path / "died", "--weights", weights, code=3)
    finally:
        server.shutdown()
    (told,) = rows(tmp_path / "died" / "files.csv")
    assert told["faces"] == "1"
    assert 10 < int(told["frames"]) < len(images)
    assert len(rows(tmp_path / "died" / "results.csv")) > 5


def test_bad_input_gets_one_sentence(weights: Path, tmp_path: Path) -> None:
    photo = tmp_path / "a.png"
    cv2.imwrite(str(photo), scene(0))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("mine")
    (tmp_path / "none").mkdir()
    refuses("analyze", "--out", tmp_path / "o", says="nothing to analyze")
    refuses("analyze", tmp_path / "nowhere.mp4", "--out", tmp_path / "o", says="does not exist")
    refuses("analyze", tmp_path / "none", "--out", tmp_path / "o", says="holds no films or photographs")
    refuses("analyze", str(tmp_path / "*.mp4"), "--out", tmp_path / "o", says="no file matches")
    refuses("analyze", photo, "--out", tmp_path / "full", "--weights", weights, says="holds no analysis")
    refuses("analyze", photo, "--out", tmp_path / "o", "--weights", tmp_path / "none", says="holds no weights")
    refuses(
        "analyze", photo, "--out", tmp_path / "o", "--weights", weights, "--window", "0.001", says="window is 0.001"
    )
    with pytest.raises(InputError, match="test-time-augmentation is 3, expected 1 or 6"):
        Analyzer(weights, test_time_augmentation=3)
    refuses("analyze", photo, "--out", photo / "o", "--weights", weights, says="a file is where a folder is needed")
    refuses("analyze", "37", "--out", tmp_path / "o", "--weights", weights, code=1, says="camera 37 cannot be opened")
    assert (tmp_path / "full" / "x").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="needs a small file system of its own")
def test_a_full_disk_keeps_whole_rows(actors: Path, weights: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=72k", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("no small file system can be mounted here")
    try:
        film = write_film(tmp_path / "long.mp4", *still(actors, 26.0))
        sentence = refuses("analyze", film, "--out", small / "out", "--weights", weights, code=1)
        assert "disk is full" in sentence
        lines = (small / "out" / "results.csv").read_text().splitlines()
        assert 5 < len(lines) < 131
        assert {line.count(",") for line in lines} == {lines[0].count(",")}
        for line in (small / "out" / "results.jsonl").read_text().splitlines():
            json.loads(line)
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_the_grid_shows_at_each_time_the_latest_frame() -> None:
    image = np.zeros((4, 4, 3), np.uint8)

    def grid(times: list[float], step: float, most: int = 5) -> list[tuple[int, int]]:
        return [
            (k, frame.number) for k, frame in on_grid([Frame(n, t, image) for n, t in enumerate(times)], step, most)
        ]

    assert grid([0.0], 0.2) == [(0, 0)]
    assert grid([k / 10 for k in range(6)], 0.2) == [(0, 0), (1, 2), (2, 4)]
    assert grid([0, 0.5, 1.0], 0.2) == [(0, 0), (1, 0), (2, 0), (3, 1), (4, 1), (5, 2)]
    assert grid([0, 10.0, 10.1], 0.2, most=3) == [(0, 0), (1, 0), (2, 0), (50, 1)]
    assert grid([k / 30 for k in range(31)], 1 / 5) == [(k, 6 * k) for k in range(6)]


def test_episodes_have_onset_apex_and_offset() -> None:
    def result(time: float, level: float, face: int = 0) -> Result:
        said = {"neutral": 1 - level, "happiness": level}
        return Result(
            time,
            int(10 * time),
            face,
            (0, 0, 9, 9),
            probabilities=said,
            label=max(said, key=said.__getitem__),
            confidence=level,
        )

    finder = EpisodeFinder()
    levels = [0.1, 0.45, 0.6, 0.9, 0.7, 0.46, 0.4, 0.1, 0.55, 0.1, 0.2]
    found = [episode for k, level in enumerate(levels) for episode in finder.add(result(k / 5, level))]
    assert [(one.expression, one.onset, one.apex, one.offset) for one in found] == [("happiness", 0.4, 0.6, 1.0)]
    assert found[0].peak == 0.9
    assert found[0].duration == pytest.approx(0.6)
    finder = EpisodeFinder()
    assert not [one for k in (0, 1) for one in finder.add(result(k / 5, 0.8, face=3))]
    (gone,) = list(finder.add(Result(4.0, 40)))  # the face left without changing
    assert (gone.face, gone.offset) == (3, 0.2)
    assert not list(finder.add(result(5.0, 0.8)))
    assert not list(finder.add(result(5.2, 0.8)))
    (last,) = list(finder.finish())
    assert last.offset == 5.2

    def unsure(time: float, label: str | None) -> Result:
        said = {"neutral": 0.3, "happiness": 0.4, "anger": 0.3}
        return Result(time, 0, 0, (0, 0, 9, 9), probabilities=said, label=label, confidence=0.4)

    for label, count in (("happiness", 1), (None, 0)):  # nothing is likely; happiness is likeliest, or nothing is said
        finder = EpisodeFinder()
        assert not [one for time in (0.0, 0.2) for one in finder.add(unsure(time, label))]
        assert len(list(finder.finish())) == count


def test_pose_is_that_of_the_head(actors: Path) -> None:
    found, wanted = [], []
    for path in sorted((actors / "truth").glob("*.json")):
        truth = json.loads(path.read_text())
        for points, true in zip(truth["landmarks"], truth["pose"]):
            found.append(pose(np.array(points)))
            wanted.append([-true[0], true[1], -true[2]])  # the generator turns the camera, not the head
    error = np.array(found) - np.array(wanted)
    assert (np.abs(error).mean(0) < (2.5, 9, 2)).all(), error.round(1)  # a nod looks much like another face
    straight = pose(np.array(truth["landmarks"][0]))
    turned = pose(np.array(truth["landmarks"][0]) @ np.array([[np.cos(0.3), np.sin(0.3)], [-np.sin(0.3), np.cos(0.3)]]))
    assert turned[2] - straight[2] == pytest.approx(np.degrees(0.3), abs=0.5)
    assert turned[0] == pytest.approx(straight[0], abs=0.5)


def test_a_stage_passes_errors_on_and_ends_when_nobody_listens() -> None:
    closed = threading.Event()

    def numbers() -> Iterator[int]:
        try:
            for k in range(1000):
                if k == 5:
                    raise ValueError("five")
                yield k
        finally:
            closed.set()

    got: list[int] = []
    with pytest.raises(ValueError, match="five"):
        got.extend(ahead(numbers(), 2))
    assert got == [0, 1, 2, 3, 4]
    closed.clear()
    stream = ahead(numbers(), 2)
    assert next(stream) == 0
    stream.close()  # type: ignore[attr-defined]
    assert closed.wait(5)


def test_sources_of_python(actors: Path, weights: Path) -> None:
    images, _ = still(actors, 0.2)
    frames = list(open_source(Frame(k, k / 10, image) for k, image in enumerate(images)))
    assert len(frames) == len(images)
    buffer = io.StringIO()
    print(next(iter(Analyzer(weights)(images[0]))), file=buffer)
    assert "face=0" in buffer.getvalue()


def test_the_packaged_weights_tell_a_smile_from_a_calm_face(actors: Path) -> None:
    """On synthetic people whom no training has seen: calm for a second, then smiling."""
    folder = Path(tfen.__file__).parent
    assert sum(path.stat().st_size for path in folder.rglob("*.safetensors")) <= 10_000_000
    assert (folder / "weights" / "MODEL_CARD.md").exists()
    analyzer = Analyzer()
    assert analyzer.expressions == EXPRESSIONS
    for number in (0, 1):
        face, back = actor(actors, f"s000{number}-happiness"), scene(number)
        frames = []
        for k in range(38):
            time = k / 12.5
            shown = face[int(np.clip(10 * (time - 1.2), 0, 4))]
            frames.append(Frame(k, time, paste(back, shown, 200, 90)))
        found = list(analyzer(frames))
        assert {result.face for result in found} == {0}
        said = [(result.time, result.probabilities) for result in found if result.probabilities]
        before, after = ([shares for time, shares in said if low < time < high] for low, high in ((-1, 0.8), (2.2, 9)))
        calm, still_calm = (np.mean([shares["neutral"] for shares in part]) for part in (before, after))
        assert calm > still_calm + 0.3, (number, said)
        if number == 0:  # the other one's crooked, closed smile is told as contempt
            happy, happier = (np.mean([shares["happiness"] for shares in part]) for part in (before, after))
            assert happier > happy + 0.3, said


@pytest.mark.parametrize(("sharpness", "label", "expected"), [
    (0.6, "happiness", COLOURS["happiness"]), (0.1, "happiness", UNCLEAR), (0.6, None, UNCLEAR),
])  # fmt: skip
def test_the_annotated_film_s_timeline_is_grey_where_nothing_can_be_told(
    tmp_path: Path, sharpness: float, label: str | None, expected: str
) -> None:
    film = AnnotatedFilm(tmp_path / "a.mp4", EXPRESSIONS, 0.2)
    told = {name: float(name == "happiness") for name in EXPRESSIONS}
    for k in range(10):
        film.frame(Frame(k, 0.1 * k, np.full((240, 320, 3), 120, np.uint8)))
        box = (100.0, 60.0, 90.0, 90.0)
        film.add(Result(0.1 * k, k, 0, box, size=90, sharpness=sharpness, yaw=0, pitch=0, probabilities=told,
                        label=label, confidence=0.9))  # fmt: skip
    film.close()
    with av.open(str(tmp_path / "a.mp4")) as made:
        last = list(made.decode(video=0))[-1].to_ndarray(format="rgb24")
    newest = last[245, -6:].mean(0)  # in the band below the picture, at its right edge
    assert np.abs(newest - rgb(expected)).max() < 25
