"""Detectors: what comes with the package finds faces and is checked; what is no model is told in one sentence."""

import hashlib
import zipfile
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import refuses
from films import paste, scene
from scipy import ndimage

from tfen import Analyzer
from tfen.app.wishes import Wishes, detectors
from tfen.data.prepare import _find_view
from tfen.data.settings import CropSettings
from tfen.errors import InputError, TfenError
from tfen.faces import detection
from tfen.faces.align import Place, cut
from tfen.faces.detectors import DEFAULT_DETECTOR, DETECTORS, lent_detector, make_detector
from tfen.faces.landmarks import confirmed, packaged_landmarker
from tfen.inference.settings import AnalyzerSettings
from tfen.synth.generate import SynthSettings, performer_of
from tfen.synth.settings import LAB

FACES = Path(detection.__file__).parent


Shown = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@cache
def portraits(turned: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Synthetic heads, (160, 160, 3) RGB, and their landmarks."""
    how = replace(LAB, turned=turned, framing=1.6)
    takes = [
        performer_of(number, SynthSettings()).perform("neutral", "held", 1, 160, np.random.default_rng(number), how)
        for number in range(3)
    ]
    return [(take.frames[0], np.array(take.truth["landmarks"][0])) for take in takes]


def small(head: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scale = 24 / float((points.max(0) - points.min(0)).max())
    face = cv2.resize(head, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return paste(scene(3), face, 300, 150), points * scale + [300, 150]


def dark(head: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    image = paste(scene(3), head, 300, 100)
    return np.round(image * 0.06).astype(np.uint8), points + [300, 100]


def whole(head: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return paste(scene(3), head, 300, 100), points + [300, 100]


@pytest.mark.parametrize(
    ("shown", "turned", "confirmed_too"),
    [(small, 0, True), (dark, 0, True), (whole, 35, True), (whole, 45, False), (whole, 60, False)],
)
def test_the_default_finds_small_dark_and_turned_faces(shown: Shown, turned: float, confirmed_too: bool) -> None:
    found = {"haar": 0, DEFAULT_DETECTOR: 0}
    kept = 0
    for head, points in portraits(turned):
        image, there = shown(head, points)
        x, y = there.mean(0)
        for name in found:
            faces = make_detector(name).detect(image)
            assert all(
                left < x < left + wide and top < y < top + high for left, top, wide, high in (f.box for f in faces)
            )
            found[name] += len(faces)
        kept += len(list(confirmed(image, faces, packaged_landmarker())))
    assert found[DEFAULT_DETECTOR] == 3
    assert found["haar"] < 3
    assert kept == 3 or not confirmed_too  # farther turned, landmarks are lost


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_film_on_its_side_is_turned_upright(turns: int) -> None:
    for head, _ in portraits(0):
        lying = np.ascontiguousarray(np.rot90(head, turns))
        wanted = {0: "whole", 1: "90 whole", 2: "180 whole", 3: "270 whole"}[turns]
        assert _find_view([lying], False, make_detector(DEFAULT_DETECTOR)) == wanted


def test_every_choice_of_a_detector_has_the_same_default() -> None:
    homes = (
        AnalyzerSettings().detector,
        CropSettings().detector,
        Wishes().detector,
        next(iter(DETECTORS)),
        detectors()[0],
    )
    assert set(homes) == {DEFAULT_DETECTOR}
    assert detectors() == ("yunet", "haar")


def test_the_packages_model_is_the_one_that_the_model_card_names_and_its_licence_is_there() -> None:
    found = hashlib.sha256(detection.YUNET.read_bytes()).hexdigest()
    card = (FACES.parent / "weights" / "MODEL_CARD.md").read_text()
    assert found == detection.YUNET_SHA256
    assert found in card
    assert detection.YUNET.name in card
    licence = detection.YUNET.with_suffix(".LICENSE").read_text()
    assert licence.startswith("MIT License")
    assert "Shiqi Yu" in licence


def test_a_missing_or_damaged_model_of_the_package_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = detection.YUNET.read_bytes()
    monkeypatch.setattr(detection, "YUNET", tmp_path / "model.onnx")
    detection._packaged_yunet.cache_clear()
    try:
        with pytest.raises(TfenError, match=r"model.onnx is missing; install tfen again"):
            make_detector("yunet")
        for content in (whole[:-1000], whole[:5000] + b"x" + whole[5001:], b""):
            (tmp_path / "model.onnx").write_bytes(content)
            with pytest.raises(TfenError, match=r"model.onnx is damaged: its SHA-256 is .*; install tfen again"):
                make_detector("yunet")
    finally:
        detection._packaged_yunet.cache_clear()


def test_a_model_file_of_ones_own_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "own.onnx").write_bytes(detection.YUNET.read_bytes())
    image = paste(scene(3), portraits(0)[0][0], 300, 100)
    theirs, ours = (make_detector("yunet", model).detect(image) for model in (tmp_path / "own.onnx", None))
    assert [face.box for face in theirs] == [face.box for face in ours] != []
    for content in (b"", b"no network"):
        (tmp_path / "own.onnx").write_bytes(content)
        with pytest.raises(InputError, match=r"own.onnx is no model of YuNet that OpenCV can read"):
            make_detector("yunet", tmp_path / "own.onnx")
    with pytest.raises(InputError, match="does not exist"):
        make_detector("yunet", tmp_path / "none.onnx")
    with pytest.raises(InputError, match="the detector haar takes no model file"):
        make_detector("haar", tmp_path / "own.onnx")


def test_a_process_loads_the_model_once(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def counted(name: str, model: Path | None = None) -> Any:
        made.append(name)
        return make_detector(name, model)

    monkeypatch.setattr("tfen.faces.detectors.make_detector", counted)
    monkeypatch.setattr("tfen.faces.detectors._idle", defaultdict(deque))
    for _ in range(2):  # the page makes an analyzer for each wish
        looking = Analyzer(weights)
        for _ in range(2):
            assert [result.face for result in looking(scene(3))] == [None]
    assert made == [DEFAULT_DETECTOR]


def test_each_thread_has_a_detector_of_its_own() -> None:
    with lent_detector("haar") as one, lent_detector("haar") as other:
        assert one is not other
    with lent_detector("haar") as again:
        assert again in (one, other)


@pytest.mark.parametrize("name", ["yunet", "haar"])
def test_a_detector_of_the_package_finds_no_face_in_nothing(name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 6, (200, 300, 3)).astype(np.uint8)
    for image in (
        np.zeros((200, 300, 3), np.uint8),
        noise,
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((1, 900, 3), np.uint8),
    ):
        assert make_detector(name).detect(image) == []


@pytest.mark.parametrize("name", ["yunet", "haar"])
def test_small_pictures_of_noise_show_no_face(name: str) -> None:
    rng, detector = np.random.default_rng(1), make_detector(name)
    for k in range(120):
        size = (*rng.integers(1, 70, 2), 3)
        image = rng.integers(0, 256 if k % 2 else 6, size).astype(np.uint8)
        assert detector.detect(image) == []


class Said:
    """In the place of MediaPipe's network: of 896 anchors, two of neighbouring size say a face and a third another."""

    def setInput(self, blob: np.ndarray) -> None:
        assert blob.shape == (1, 3, 128, 128)
        assert (blob.min(), blob.max()) in ((-1, -1), (-1, 1))  # all black, or black and white

    def getUnconnectedOutLayersNames(self) -> list[str]:
        return ["boxes", "scores"]

    def forward(self, names: list[str]) -> list[np.ndarray]:
        boxes, logits = np.zeros((1, 896, 16), np.float32), np.full((1, 896, 1), -9, np.float32)
        first, second = 2 * (16 * 4 + 8), 512 + 6 * (8 * 2 + 3) + 5  # cells (8, 4) of 16 x 16 and (3, 2) of 8 x 8
        boxes[0, first, :4], logits[0, first] = (2, -4, 30, 40), 3
        boxes[0, first + 1, :4], logits[0, first + 1] = (3, -4, 30, 40), 2
        boxes[0, second, :4], logits[0, second] = (-40, 0, 20, 20), 1
        return [boxes, logits]


def test_mediapipes_anchors_become_boxes_of_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "face_detection_short_range.tflite"
    model.write_bytes(b"0000TFL3")
    given: list[bytes] = []
    monkeypatch.setattr(cv2.dnn, "readNetFromTFLite", lambda data: (given.append(bytes(data)), Said())[1])
    detector = make_detector("mediapipe", model)
    image = np.zeros((128, 256, 3), np.uint8)
    image[:10] = 255
    found = detector.detect(image)
    assert [face.box for face in found] == [(110, 24, 60, 80), (12, 60, 40, 40)]
    assert [face.score for face in found] == pytest.approx([1 / (1 + np.exp(-3)), 1 / (1 + np.exp(-1))])
    with zipfile.ZipFile(tmp_path / "face_landmarker.task", "w") as bundle:
        bundle.writestr("face_detector.tflite", b"0000TFL3 in a bundle")
    make_detector("mediapipe", tmp_path / "face_landmarker.task")
    assert given == [b"0000TFL3", b"0000TFL3 in a bundle"]


def test_what_is_no_model_of_mediapipe_is_told(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for expression in ("anger", "fear"):
        (photos / expression).mkdir(parents=True)
        cv2.imwrite(str(photos / expression / "ann.png"), np.zeros((64, 64, 3), np.uint8))
    refuses("prepare", "folder", photos, tmp_path / "out", "--detector", "mediapipe", says="needs its model")
    for name, content in (("a.tflite", b"0000TFL3 no network"), ("b.tflite", b""), ("c.task", b"PK no archive")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="no face detector of MediaPipe"):
            make_detector("mediapipe", tmp_path / name)
    with zipfile.ZipFile(tmp_path / "d.task", "w") as bundle:
        bundle.writestr("another.tflite", b"0000TFL3")
    with pytest.raises(InputError, match="no face detector of MediaPipe"):
        make_detector("mediapipe", tmp_path / "d.task")
    with pytest.raises(InputError, match="does not exist"):
        make_detector("mediapipe", tmp_path / "e.task")


@pytest.mark.parametrize("side", [30.0, 90.0, 400.0])
@pytest.mark.parametrize("angle", [0.0, 25.0])
def test_a_face_is_cut_out_by_what_lies_around_it_alone(side: float, angle: float) -> None:
    """A square of a large picture is what the same square of its surroundings is, whatever is elsewhere."""
    rng = np.random.default_rng(0)
    picture = cv2.resize(rng.integers(0, 255, (15, 20, 3), np.uint8), (1200, 900), interpolation=cv2.INTER_CUBIC)
    place = Place(640.3, 420.8, side, angle)
    found = cut(picture, place, 70)
    reach = int(side)
    elsewhere = np.full_like(picture, 255)
    near = np.s_[420 - reach : 421 + reach, 640 - reach : 641 + reach]
    elsewhere[near] = picture[near]
    assert np.array_equal(cut(elsewhere, place, 70), found)
    # an independent way: every pixel of the square is the mean of the picture over its own area
    across = (np.arange(70 * 8) + 0.5) / (70 * 8) - 0.5
    x, y = np.meshgrid(across * side, across * side)
    turn = np.radians(angle)
    at = [place.y + np.sin(turn) * x + np.cos(turn) * y, place.x + np.cos(turn) * x - np.sin(turn) * y]
    fine = np.stack([ndimage.map_coordinates(picture[..., c].astype(float), at, order=1) for c in range(3)], 2)
    assert np.abs(found - fine.reshape(70, 8, 70, 8, 3).mean((1, 3))).mean() < 2.0


@pytest.mark.parametrize("x", [-300.0, -20.0, 90.0, 500.0])
def test_a_square_beyond_the_picture_continues_its_edge(x: float) -> None:
    picture = np.repeat(np.arange(100, dtype=np.uint8)[None, :, None], 80, 0).repeat(3, 2)
    found = cut(picture, Place(x, 40.0, 60.0), 60)
    wanted = np.clip(x - 29.5 + np.arange(60), 0, 99)
    assert np.abs(found - wanted[None, :, None]).max() <= 1
