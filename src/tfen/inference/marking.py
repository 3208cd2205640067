"""Landmarks of photographs and films as a table, and drawn."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tfen.errors import InputError
from tfen.faces.detection import Face, FaceDetector
from tfen.faces.landmarks import POINTS, Landmarker
from tfen.video.media import IMAGES, read_image
from tfen.video.reading import read_frames

COLUMNS = (
    "file", "frame", "face", "left", "top", "width", "height", "score",
    *(f"{axis}{k}" for k in range(POINTS) for axis in "xy"),
)  # fmt: skip


@dataclass(frozen=True)
class Marked:
    """A frame with its faces and their landmarks, (68, 2) each, in pixels."""

    path: Path
    number: int
    image: np.ndarray
    faces: list[tuple[Face, np.ndarray]]

    def rows(self) -> Iterator[dict[str, object]]:
        """Yield a row of the table for each face."""
        for k, (face, points) in enumerate(self.faces):
            box = dict(zip(("left", "top", "width", "height"), (round(value, 1) for value in face.box)))
            places = {
                f"{axis}{n}": round(float(point[i]), 2) for n, point in enumerate(points) for i, axis in enumerate("xy")
            }
            yield {
                "file": self.path.name,
                "frame": self.number,
                "face": k,
                **box,
                "score": round(face.score, 3),
                **places,
            }

    def drawn(self) -> np.ndarray:
        """Return the frame with boxes and landmarks on it, (height, width, 3) RGB."""
        picture = self.image.copy()
        reach = max(1, round(max(picture.shape[:2]) / 300))
        for face, points in self.faces:
            left, top, width, height = (round(value) for value in face.box)
            cv2.rectangle(picture, (left, top), (left + width, top + height), (255, 255, 255), reach, cv2.LINE_AA)
            for x, y in points:
                cv2.circle(picture, (round(float(x)), round(float(y))), reach, (40, 220, 120), -1, cv2.LINE_AA)
        return picture


def mark(paths: Sequence[Path], detector: FaceDetector, landmarker: Landmarker) -> Iterator[Marked]:
    """Yield every frame of photographs and films with the faces found in it.

    Raises:
        InputError: a file that is neither, or cannot be read.
    """
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path} does not exist; give photographs or films")
        images = [read_image(path)] if path.suffix.lower() in IMAGES else (frame.image for frame in read_frames(path))
        for number, image in enumerate(images):
            image = np.ascontiguousarray(image)
            yield Marked(
                path, number, image, [(face, landmarker.locate(image, face.box)) for face in detector.detect(image)]
            )
