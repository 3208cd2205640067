"""Finding faces: one interface, a detector that needs no download, and better ones for which a model file is given."""

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from tfen.errors import InputError, TfenError
from tfen.faces.box import Box

LONGEST_SIDE = 480
"""Pictures are searched at no more than this many pixels along their longer side."""
LARGEST_MODEL = 20_000_000
"""Bytes of a detector that are read from a bundle; MediaPipe's has 0.2 million."""


@dataclass(frozen=True)
class HubFile:
    """A file on the Hugging Face hub, and what it must be."""

    repository: str
    file: str
    revision: str
    sha256: str


YUNET = HubFile(
    "opencv/face_detection_yunet",
    "face_detection_yunet_2023mar.onnx",
    "3cc26e7f1014a5ee5d74a42acee58bafc9d0a310",
    "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
)
"""YuNet's model as OpenCV publishes it (MIT)."""


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
    """OpenCV's cascade of Haar features (Viola and Jones 2001; Lienhart and Maydt 2002): in the package, quick, frontal."""

    name = "haar"

    def __init__(self) -> None:
        self._cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_alt2.xml")  # type: ignore[attr-defined]

    def detect(self, image: np.ndarray) -> list[Face]:
        small, scale = _shrunk(image)
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


class YuNetDetector:
    """YuNet (Wu et al. 2023) through OpenCV, from a model file such as face_detection_yunet_2023mar.onnx."""

    name = "yunet"

    def __init__(self, model: Path) -> None:
        if not model.is_file():
            raise InputError(f"{model} does not exist; --detector-model wants YuNet's .onnx file (OpenCV Zoo, MIT)")
        try:
            self._net = cv2.FaceDetectorYN.create(str(model), "", (320, 320), 0.6)
        except cv2.error:
            raise InputError(f"{model} is no model of YuNet that OpenCV can read") from None

    def detect(self, image: np.ndarray) -> list[Face]:
        small, scale = _shrunk(image)
        self._net.setInputSize((small.shape[1], small.shape[0]))
        rows = self._net.detect(np.ascontiguousarray(small[..., ::-1]))[1]
        faces = [] if rows is None else [_yunet_face(row, scale) for row in rows]
        return sorted(faces, key=lambda face: -face.score)


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


def _shrunk(image: np.ndarray) -> tuple[np.ndarray, float]:
    scale = min(1.0, LONGEST_SIDE / max(image.shape[:2]))
    if scale == 1.0:
        return np.ascontiguousarray(image), 1.0
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA), scale


def fetch_yunet() -> Path:
    """Fetch YuNet's model (232,589 bytes, MIT) over the network into the hub's cache and return its path.

    Raises:
        TfenError: the hub does not answer, or gives another file than the one that this program was made for.
    """
    from huggingface_hub import hf_hub_download

    try:
        path = Path(hf_hub_download(YUNET.repository, YUNET.file, revision=YUNET.revision))
    except Exception as error:
        raise TfenError(
            f"YuNet's model could not be fetched ({type(error).__name__}): download {YUNET.file} of {YUNET.repository} "
            "from the Hugging Face hub and give it with --detector-model"
        ) from None
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != YUNET.sha256:
        raise TfenError(
            f"{path} is not the model that was expected: its SHA-256 is {found}, not {YUNET.sha256}; delete it"
        )
    return path


def fetched_yunet() -> Path:
    """Return where YuNet's fetched model lies.

    Raises:
        InputError: it was not fetched.
    """
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(YUNET.repository, YUNET.file, revision=YUNET.revision, local_files_only=True))
    except Exception:
        raise InputError(
            "the detector yunet needs its model: fetch it with `tfen fetch yunet`, or give --detector-model "
            "face_detection_yunet_2023mar.onnx"
        ) from None
