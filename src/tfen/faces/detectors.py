"""The detectors that can be chosen by name. What each needs is imported when it is made."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tfen.choices import Choices
from tfen.errors import InputError

if TYPE_CHECKING:
    from tfen.faces.detection import FaceDetector


def _haar(model: Path | None) -> "FaceDetector":
    from tfen.faces.detection import HaarDetector

    return HaarDetector()


def _yunet(model: Path | None) -> "FaceDetector":
    from tfen.faces.detection import YuNetDetector, fetched_yunet

    return YuNetDetector(model or fetched_yunet())


def _mediapipe(model: Path | None) -> "FaceDetector":
    from tfen.faces.detection import MediaPipeDetector

    if model is None:
        raise InputError(
            "the detector mediapipe needs its model: give --detector-model face_detection_short_range.tflite "
            "(docs/data-sets.md says where it is)"
        )
    return MediaPipeDetector(model)


DETECTORS: Choices[Callable[[Path | None], "FaceDetector"]] = Choices(
    "detector", {"haar": _haar, "yunet": _yunet, "mediapipe": _mediapipe}
)
"""What makes each detector, of its model file or None."""


def make_detector(name: str, model: Path | None = None) -> "FaceDetector":
    """Return a detector by name.

    Raises:
        InputError: an unknown name, or a model file that is missing or unfit.
    """
    return DETECTORS[name](model)
