"""Landmarks of photographs and films as a table, and drawn."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tfen.errors import InputError
from tfen.faces.detection import Face, FaceDetector
from tfen.faces.landmarks import POINTS, Landmarker
from tfen.files import whole_file, write_csv
from tfen.inference.rows import escaped
from tfen.progress import say
from tfen.video.reading import read_file

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
                "file": escaped(str(self.path)),
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


def mark(path: Path, detector: FaceDetector, landmarker: Landmarker) -> Iterator[Marked]:
    """Yield every frame of a photograph or film with the faces in it.

    Raises:
        InputError: the file cannot be read.
    """
    for frame in read_file(path):
        image = frame.image
        faces = [(face, landmarker.locate(image, face.box)) for face in detector.detect(image)]
        yield Marked(path, frame.number, image, faces)


def write_landmarks(
    paths: Sequence[Path], out: Path, detector: FaceDetector, landmarker: Landmarker, draw: Path | None
) -> dict[str, int]:
    """Write the landmarks of photographs and films as a table, and the frames with them drawn if `draw` is a folder.

    Returns:
        counts: faces, frames, files that could not be read.

    Raises:
        InputError: the only file cannot be read.
    """
    counts = {"faces": 0, "frames": 0, "failed": 0}
    stems: Counter[str] = Counter()

    def rows() -> Iterator[dict[str, object]]:
        for path in paths:
            stems[path.stem] += 1
            stem = path.stem if stems[path.stem] == 1 else f"{path.stem}-{stems[path.stem]}"
            try:
                for marked in mark(path, detector, landmarker):
                    counts["frames"] += 1
                    counts["faces"] += len(marked.faces)
                    yield from marked.rows()
                    if draw is not None:
                        _save(marked.drawn(), draw / f"{stem}-{marked.number + 1:05d}.png")
            except InputError as error:
                if len(paths) == 1:
                    raise
                say(str(error))
                counts["failed"] += 1

    write_csv(out, COLUMNS, rows())
    return counts


def _save(picture: np.ndarray, path: Path) -> None:
    with whole_file(path) as part:
        part.write_bytes(cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
