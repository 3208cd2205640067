"""Detectors that are not in the package: fetched on command, checked, and never without being asked."""

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import huggingface_hub
import numpy as np
import pytest
from conftest import refuses

from tfen.errors import InputError, TfenError
from tfen.faces import detection
from tfen.faces.detection import fetch_yunet
from tfen.faces.detectors import make_detector


def test_a_fetched_model_is_the_one_that_was_expected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"a model")
    asked: list[tuple[str, str, str]] = []

    def hub(repository: str, file: str, revision: str, local_files_only: bool = False) -> str:
        asked.append((repository, file, revision))
        return str(path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub)
    with pytest.raises(TfenError, match="not the model that was expected"):
        fetch_yunet()
    right = replace(detection.YUNET, sha256=hashlib.sha256(b"a model").hexdigest())
    monkeypatch.setattr(detection, "YUNET", right)
    assert fetch_yunet() == path
    assert set(asked) == {("opencv/face_detection_yunet", "face_detection_yunet_2023mar.onnx", right.revision)}
    with pytest.raises(InputError, match="no model of YuNet"):
        make_detector("yunet")  # it is found, and it is no network


def test_nothing_is_fetched_without_being_asked(tmp_path: Path) -> None:
    refuses("fetch", "yunet", code=1, says="could not be fetched")  # the tests run without a network
    with pytest.raises(InputError, match="tfen fetch yunet"):
        make_detector("yunet")


def test_the_detector_of_the_package_finds_no_face_in_nothing() -> None:
    assert make_detector("haar").detect(np.zeros((200, 300, 3), np.uint8)) == []


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
