"""Finding faces: one interface, two detectors that come with the package, and one for which a model file is given."""

import hashlib
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from tfen.errors import InputError, TfenError
from tfen.faces.box import Box

YUNET = Path(__file__).parent / "face_detection_yunet_2023mar.onnx"
"""YuNet's model as OpenCV Zoo publishes it (MIT); its licence lies beside it, and the model card says where it is from."""
YUNET_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
BRIGHT, MOST_GAIN = 200, 20
"""The brightest hundredth of a dark picture is raised to this level before YuNet looks, by no more than this factor."""
LARGEST_MODEL = 20_000_000
"""Bytes of a detector that are read from a bundle; MediaPipe's has 0.2 million."""


@dataclass(frozen=True)
class Face:
    """A face that a detector found."""

    box: Box
    score: float
    """How sure the detector is, on its own scale."""
    eyes_nose_mouth: np.ndarray | None = None
    """Where it sees the eyes, the tip of the nose and the corners of the mouth, those to the image's left first: (5, 2) in
    pixels; None where it does not say."""


class FaceDetector(Protocol):
    """Anything that finds faces in a picture."""

    name: str

    def detect(self, image: np.ndarray) -> list[Face]:
        """Return the faces of a picture (height, width, 3) uint8 RGB, the surest first."""
        ...


class HaarDetector:
    """OpenCV's cascade of Haar features (Viola and Jones 2001; Lienhart and Maydt 2002): frontal faces that are not small."""

    name = "haar"
    _longest = 480

    def __init__(self) -> None:
        self._cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_alt2.xml")  # type: ignore[attr-defined]

    def detect(self, image: np.ndarray) -> list[Face]:
        small, scale = _shrunk(image, self._longest)
        grey = cv2.equalizeHist(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
        least = max(24, min(grey.shape) // 8)
        boxes, _, weights = self._cascade.detectMultiScale3(
            grey, 1.1, 4, minSize=(least, least), outputRejectLevels=True
        )
        found = [
            Face((float(x) / scale, float(y) / scale, float(w) / scale, float(h) / scale), float(weight))
            for (x, y, w, h), weight in zip(boxes, np.ravel(weights))
        ]
        return sorted(found, key=lambda face: -face.score * face.box[2])


LEAST_SIDE = 64
"""Smaller pictures get a border: of sides of at most 32 pixels OpenCV 4.14 gives what happens to lie in the memory."""


class YuNetDetector:
    """YuNet (Wu et al. 2023) through OpenCV: also small, dark and turned faces.

    Args:
        model: another file of it than the package's.

    Raises:
        InputError: the file is missing, or no such model.
        TfenError: the package's own file is missing or damaged.
    """

    name = "yunet"
    _longest = 640
    _least = 0.6

    def __init__(self, model: Path | None = None) -> None:
        if model is not None and not model.is_file():
            raise InputError(f"{model} does not exist; --detector-model wants YuNet's .onnx file (OpenCV Zoo, MIT)")
        content = _packaged_yunet() if model is None else np.fromfile(model, np.uint8)
        try:
            self._net = cv2.FaceDetectorYN.create("onnx", content, np.zeros(0, np.uint8), (320, 320), self._least)
        except cv2.error:
            raise InputError(f"{model or YUNET} is no model of YuNet that OpenCV can read") from None

    def detect(self, image: np.ndarray) -> list[Face]:
        small, scale = _shrunk(image, self._longest)
        wanted = [max(0, LEAST_SIDE - side) for side in small.shape[:2]]
        lit = cv2.copyMakeBorder(_lit(small), 0, wanted[0], 0, wanted[1], cv2.BORDER_CONSTANT)
        self._net.setInputSize((lit.shape[1], lit.shape[0]))
        rows = self._net.detect(np.ascontiguousarray(lit[..., ::-1]))[1]
        faces = [] if rows is None else [_yunet_face(row, scale) for row in rows]
        return sorted(faces, key=lambda face: -face.score)


@cache
def _packaged_yunet() -> np.ndarray:
    """Return the package's model, read and checked once in a process."""
    try:
        content = np.fromfile(YUNET, np.uint8)
    except OSError:
        raise TfenError(f"{YUNET} is missing; install tfen again, or choose --detector haar") from None
    found = hashlib.sha256(content.tobytes()).hexdigest()
    if found != YUNET_SHA256:
        raise TfenError(
            f"{YUNET} is damaged: its SHA-256 is {found}, not {YUNET_SHA256}; install tfen again, or choose "
            "--detector haar"
        )
    return content


def _lit(image: np.ndarray) -> np.ndarray:
    """Return a dark picture brighter; YuNet was trained on pictures in common light."""
    level = max(float(np.percentile(image[::8, ::8], 99)), BRIGHT / MOST_GAIN)
    return image if level >= BRIGHT else cv2.convertScaleAbs(image, alpha=BRIGHT / level)


def _yunet_face(row: np.ndarray, scale: float) -> Face:
    """Return a face of YuNet's 15 numbers: box, right eye, left eye, nose, corners of the mouth, score."""
    left, top, width, height = (float(value) / scale for value in row[:4])
    return Face((left, top, width, height), float(row[14]), row[4:14].reshape(5, 2).astype(float) / scale)


class MediaPipeDetector:
    """MediaPipe's detector for faces near the camera (BlazeFace; Bazarevsky et al. 2019) through OpenCV.

    The whole picture is seen at 128 pixels, so that faces smaller than a tenth of it are missed.

    Args:
        model: face_detection_short_range.tflite (also named blaze_face_short_range.tflite), or the bundle
            face_landmarker.task, whose detector is taken.

    Raises:
        InputError: the file is missing, or no such model.
    """

    name = "mediapipe"
    _side = 128
    _least = 0.5

    def __init__(self, model: Path) -> None:
        if not model.is_file():
            raise InputError(f"{model} does not exist; --detector-model wants face_detection_short_range.tflite")
        try:
            self._net = cv2.dnn.readNetFromTFLite(np.frombuffer(_tflite(model), np.uint8))
            self._outputs(np.zeros((self._side, self._side, 3), np.uint8))
        except (cv2.error, ValueError, KeyError, OSError, zipfile.BadZipFile):
            raise InputError(
                f"{model} is no face detector of MediaPipe that OpenCV can read; expected face_detection_short_range.tflite "
                "or face_landmarker.task"
            ) from None
        # two anchors in each of 16 x 16 cells, then six in each of 8 x 8; all are as large as the picture
        self._anchors = np.concatenate(
            [
                np.repeat(np.stack(np.meshgrid(at, at), -1).reshape(-1, 2), times, axis=0)
                for at, times in (((np.arange(16) + 0.5) / 16, 2), ((np.arange(8) + 0.5) / 8, 6))
            ]
        )

    def detect(self, image: np.ndarray) -> list[Face]:
        scale = self._side / max(image.shape[:2])
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        square = np.zeros((self._side, self._side, 3), np.uint8)
        square[: size[1], : size[0]] = cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)
        rows, logits = self._outputs(square)
        likely = np.flatnonzero(logits > np.log(self._least / (1 - self._least)))
        scores = 1 / (1 + np.exp(-logits[likely].astype(float)))
        centres = self._anchors[likely] * self._side + rows[likely, :2]
        boxes = (np.concatenate([centres - rows[likely, 2:4] / 2, rows[likely, 2:4]], 1) / scale).tolist()
        kept = cv2.dnn.NMSBoxes(boxes, scores.tolist(), self._least, 0.3)
        found = [Face(tuple(boxes[k]), float(scores[k])) for k in kept]
        return sorted(found, key=lambda face: -face.score)

    def _outputs(self, square: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what the network says of each anchor: (896, 16) box and points in pixels, and (896,) logits."""
        self._net.setInput(cv2.dnn.blobFromImage(square, 1 / 127.5, mean=(127.5, 127.5, 127.5)))
        outputs = {out.shape: out for out in self._net.forward(self._net.getUnconnectedOutLayersNames())}
        return outputs[1, 896, 16][0], outputs[1, 896, 1][0, :, 0]


def _tflite(model: Path) -> bytes:
    with model.open("rb") as file:
        if file.read(8)[4:] == b"TFL3":
            return model.read_bytes()
    with zipfile.ZipFile(model) as bundle, bundle.open("face_detector.tflite") as file:
        return file.read(LARGEST_MODEL)


def _shrunk(image: np.ndarray, longest: int) -> tuple[np.ndarray, float]:
    """Return a picture that is no longer than some pixels along its longer side, and its scale."""
    scale = min(1.0, longest / max(image.shape[:2]))
    if scale == 1.0:
        return np.ascontiguousarray(image), 1.0
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA), scale
