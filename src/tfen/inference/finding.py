"""From frames to faces: what is seen of each face at each step of the time grid."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch

from tfen.data.transforms import CPU
from tfen.faces.align import Place, cut, place_from_landmarks
from tfen.faces.box import Box
from tfen.faces.detection import FaceDetector
from tfen.faces.landmarks import confirmed, packaged_landmarker
from tfen.faces.pose import pose
from tfen.inference.tracking import FaceTracker
from tfen.video.reading import Frame, Moment

Array = np.ndarray

SAME_PLACE = 0.35
"""Two faces whose centres are nearer than this, in sides of the larger one, are one face found twice."""
BORDER = 0.25
"""Width of the border around a photograph in which no face was found, in its sides."""
FOLLOWED = 1.0
"""Seconds for which a face is followed by its landmarks alone when the detector does not see it."""
DETECTED = 0.6
"""Seconds after which the detector looks again while all faces are followed well."""
GREY_OF_CUT, SHAPE_OF_CUT = 0.12, 0.5
"""A cut: mean difference of small grey pictures (of 1) above the one, correlation below the other."""


@dataclass(frozen=True)
class Seen:
    """A face in a frame: its number, box (left, top, width, height in pixels), how sure the detector was when it looked
    last (0: it did not see the face, which was followed by its landmarks), landmarks (68, 2), pose in degrees, sharpness,
    and the crop."""

    face: int
    box: Box
    score: float
    points: Array
    yaw: float
    pitch: float
    roll: float
    sharpness: float
    crop: Array


@dataclass(frozen=True)
class _Found:
    """A face in a picture before it has a number: its landmarks, where it is cut out, and the detector's score."""

    points: Array
    place: Place
    score: float


@dataclass(frozen=True)
class Step:
    """A step of the time grid: its number, which frame is shown then, and the faces in it.

    `new` is false where the same frame is shown as at the step before.
    """

    number: int
    frame: Moment
    faces: list[Seen]
    new: bool


def on_grid(frames: Iterable[Frame], step: float, most: int) -> Iterator[tuple[int, Frame]]:
    """Yield the frame that is shown at each time k * step: the latest one that is not later.

    Args:
        frames: in order of time.
        step: seconds.
        most: times that a frame is repeated at most; in longer gaps the numbers jump.
    """
    number, before, interval = 0, None, step
    for frame in frames:
        if before is not None:
            interval = frame.time - before.time
            last = int(np.ceil(round(frame.time / step, 6)))  # the first one that shows the new frame
            for k in range(number, min(last, number + most)):
                yield k, before
            number = max(number, last)
        before = frame
    if before is not None:
        last = int(np.ceil(round((before.time + min(interval, step)) / step, 6)))
        for k in range(number, max(last, number + 1 if number == 0 else 0)):
            yield k, before


def newest_on_grid(frames: Iterable[Frame], step: float, most: int) -> Iterator[tuple[int, Frame]]:
    """Yield the first frame of each step of `step` seconds as soon as it is there, for frames that come as time goes.

    A step without a frame of its own shows the one before, `most` times in a row at most; then the numbers jump.
    """
    last, before = -1, None
    for frame in frames:
        number = int(frame.time / step + 1e-6)
        if before is not None:
            if number <= last:
                continue
            for k in range(last + 1, min(number, last + 1 + most)):
                yield k, before
        yield number, frame
        last, before = number, frame


class FaceFinder:
    """Detects, follows and cuts out faces.

    Args:
        detector: finds them.
        size: side of the crops, pixels.
        rate: steps in a second.
        device: where landmarks are found; the processor if not given.
    """

    def __init__(self, detector: FaceDetector, size: int, rate: float, device: torch.device = CPU) -> None:
        self._detector, self._size = detector, size
        self._landmarker = packaged_landmarker(device)
        self._tracker = FaceTracker(rate)
        self._patience, self._often = max(1, round(FOLLOWED * rate)), max(1, round(DETECTED * rate))
        self._since = 0
        """Steps since the detector looked."""
        self._alone: dict[int, int] = {}
        """For how many steps each face was followed that the detector did not see when it looked."""
        self._before: list[Seen] = []
        self._small: Array | None = None

    def steps(self, frames: Iterable[tuple[int, Frame]]) -> Iterator[Step]:
        """Yield the steps of numbered frames; a frame that is shown longer is looked at once."""
        shown = None
        for number, frame in frames:
            new = shown is not frame
            if new:
                self.faces(frame.image)
                shown = frame
            yield Step(number, Moment(frame.number, frame.time), self._before, new)

    def faces(self, image: Array) -> list[Seen]:
        """Return the faces of the next picture, (height, width, 3) uint8 RGB, ordered by their numbers."""
        if self._is_cut(image):
            self._tracker.cut()
            self._before = []
        found = self._followed(image) if self._before and self._since + 1 < self._often else None
        self._since = 0 if found is None else self._since + 1
        if found is None:
            found = self._detected(image)
        boxes = [_box(own.place) for own in found]
        numbers = self._tracker.update(boxes)
        self._before = [
            self._seen(image, number, box, own)
            for number, box, own in sorted(zip(numbers, boxes, found), key=lambda item: item[0])
        ]
        return self._before

    def _followed(self, image: Array) -> list[_Found] | None:
        """Return all faces of the picture before where their landmarks are now, or None if one of them is lost."""
        patient = [one for one in self._before if self._alone.get(one.face, 0) < self._patience]
        found: list[_Found] = []
        for one, (points, doubt) in zip(patient, self._landmarker.follow_all(image, [own.points for own in patient])):
            if doubt > self._landmarker.sure or not _add(found, points, one.score):
                return None
        self._alone = {face: waited + 1 for face, waited in self._alone.items() if waited < self._patience}
        return found

    def _detected(self, image: Array) -> list[_Found]:
        """Return the faces that the detector sees, and those of the picture before that the landmarks still find."""
        found: list[_Found] = []
        for face, points in confirmed(image, self._detector.detect(image), self._landmarker):
            _add(found, points, face.score)
        missed = [
            one
            for one in self._before
            if self._alone.get(one.face, 0) < self._patience
            and not _taken(place_from_landmarks(one.points, "eyes"), found)
        ]
        alone = {}
        for one, (points, doubt) in zip(missed, self._landmarker.follow_all(image, [own.points for own in missed])):
            if doubt <= self._landmarker.sure and _add(found, points, 0.0):
                alone[one.face] = self._alone.get(one.face, 0) + 1
        self._alone = alone
        return found

    def _seen(self, image: Array, number: int, box: Box, found: _Found) -> Seen:
        crop = cut(image, found.place, self._size)
        grey = cv2.resize(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (64, 64), interpolation=cv2.INTER_AREA)
        sharp = float(cv2.Laplacian(grey, cv2.CV_64F).std() / (grey.std() + 1.0))
        return Seen(number, box, found.score, found.points, *pose(found.points), sharp, crop)

    def _is_cut(self, image: Array) -> bool:
        small = cv2.resize(image, (32, 18), interpolation=cv2.INTER_AREA).mean(2) / 255
        before, self._small = self._small, small
        if before is None:
            return False
        a, b = small - small.mean(), before - before.mean()
        alike = float((a * b).sum() / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-3))
        return bool(np.abs(small - before).mean() > GREY_OF_CUT and alike < SHAPE_OF_CUT)


def faces_of_photograph(detector: FaceDetector, image: Array, size: int, device: torch.device = CPU) -> list[Seen]:
    """Return the faces of a photograph, (height, width, 3) uint8 RGB.

    Where none is found, it is looked at once more with a border: detectors miss faces that fill a picture.

    Args:
        size: side of the crops, pixels.
    """
    faces = FaceFinder(detector, size, 1.0, device).faces(image)
    if faces:
        return faces
    down, across = (round(BORDER * side) for side in image.shape[:2])
    bordered = cv2.copyMakeBorder(image, down, down, across, across, cv2.BORDER_CONSTANT, value=(128, 128, 128))
    return [
        replace(
            face,
            box=(face.box[0] - across, face.box[1] - down, *face.box[2:]),
            points=face.points - np.array([across, down]),
        )
        for face in FaceFinder(detector, size, 1.0, device).faces(bordered)
    ]


def _box(place: Place) -> Box:
    return place.x - place.side / 2, place.y - place.side / 2, place.side, place.side


def _taken(place: Place, found: list[_Found]) -> bool:
    return any(
        np.hypot(place.x - other.place.x, place.y - other.place.y) < SAME_PLACE * max(place.side, other.place.side)
        for other in found
    )


def _add(found: list[_Found], points: Array, score: float) -> bool:
    """Add a face to those of a picture, and tell whether it was not there already."""
    place = place_from_landmarks(points, "eyes")
    if _taken(place, found):
        return False
    found.append(_Found(points, place, score))
    return True
