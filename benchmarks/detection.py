"""How many of the frames that show a face each detector finds a face in.

usage: python benchmarks/detection.py [--mediapipe MODEL] FOLDER_OR_FILM...

Folders are searched for photographs, each of which is taken to show one face; films are counted frame by frame, so that
a film without faces should score 0.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfen.faces.detection import FaceDetector
from tfen.faces.detectors import make_detector
from tfen.video.media import IMAGES
from tfen.video.photographs import read_image
from tfen.video.reading import read_frames


def pictures(source: Path) -> Iterator[np.ndarray]:
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.suffix.lower() in IMAGES:
                yield read_image(path)
    else:
        for frame in read_frames(source):
            yield frame.image


def main() -> None:
    words = sys.argv[1:]
    detectors: list[FaceDetector] = [make_detector("haar"), make_detector("yunet")]
    if words[:1] == ["--mediapipe"]:
        detectors.append(make_detector("mediapipe", Path(words[1])))
        words = words[2:]
    for source in map(Path, words):
        found = {detector.name: 0 for detector in detectors}
        count = 0
        for image in pictures(source):
            count += 1
            for detector in detectors:
                found[detector.name] += bool(detector.detect(image))
        rates = ", ".join(f"{name} {number} ({number / max(count, 1):.0%})" for name, number in found.items())
        print(f"{source.name}: {count} frames; a face found in: {rates}")


if __name__ == "__main__":
    main()
