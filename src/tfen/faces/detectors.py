"""The detectors that can be chosen by name. What each needs is imported when it is made."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tfen.choices import Choices
from tfen.errors import InputError

if TYPE_CHECKING:
    from tfen.faces.detection import FaceDetector


def _yunet(model: Path | None) -> "FaceDetector":
    from tfen.faces.detection import YuNetDetector

    return YuNetDetector(model)


def _haar(model: Path | None) -> "FaceDetector":
    from tfen.faces.detection import HaarDetector

    if model is not None:
        raise InputError("the detector haar takes no model file; leave --detector-model away")
    return HaarDetector()


def _mediapipe(model: Path | None) -> "FaceDetector":
    from tfen.faces.detection import MediaPipeDetector

    if model is None:
        raise InputError(
            "the detector mediapipe needs its model: give --detector-model face_detection_short_range.tflite "
            "(docs/data-sets.md says where it is)"
        )
    return MediaPipeDetector(model)


DETECTORS: Choices[Callable[[Path | None], "FaceDetector"]] = Choices(
    "detector", {"yunet": _yunet, "haar": _haar, "mediapipe": _mediapipe}
)
"""What makes each detector, of its model file or None."""
DEFAULT_DETECTOR = "yunet"
"""Finds faces wherever none is chosen."""


def make_detector(name: str, model: Path | None = None) -> "FaceDetector":
    """Return a detector by name.

    Raises:
        InputError: an unknown name, or a model file that is missing or unfit.
        TfenError: a model of the package is missing or damaged.
    """
    return DETECTORS[name](model)


_idle: dict[tuple[str, Path | None], "deque[FaceDetector]"] = defaultdict(deque)


@contextmanager
def lent_detector(name: str, model: Path | None = None) -> "Iterator[FaceDetector]":
    """Lend a detector to one thread; OpenCV's cannot work for two at a time.

    A process makes as many of each as work at the same time, whoever asks for them.

    Raises:
        InputError, TfenError: as `make_detector`.
    """
    idle = _idle[name, model]
    try:
        detector = idle.pop()
    except IndexError:
        detector = make_detector(name, model)
    try:
        yield detector
    finally:
        idle.append(detector)
