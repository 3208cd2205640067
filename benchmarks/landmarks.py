"""Error of the landmarks on photographs marked by hand.

usage: python benchmarks/landmarks.py LONDON [--weights FILE] [--detector NAME] [--picture FILE]

LONDON is a folder with neutral/*.jpg and landmarks.csv of the Face Research Lab London Set (figshare 5047666). The error
is the mean distance over the four eye corners, the two mouth corners and the chin, divided by the distance of the pupils.
"""

import argparse
import csv
from pathlib import Path

import cv2
import numpy as np

from tfen.faces.detectors import DEFAULT_DETECTOR, make_detector
from tfen.faces.landmarks import PACKAGED, Landmarker
from tfen.video.photographs import read_image

EYES, MOUTH, CHIN = (18, 22, 23, 27), (87, 93), 129
"""Corners of the eyes and of the mouth, and the chin, in the London Set's numbering."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("london", type=Path)
    parser.add_argument("--weights", type=Path, default=PACKAGED)
    parser.add_argument("--detector", default=DEFAULT_DETECTOR)
    parser.add_argument("--picture", type=Path)
    asked = parser.parse_args()
    folder, landmarker = asked.london, Landmarker(asked.weights)
    detector = make_detector(asked.detector)
    rows = csv.DictReader((folder / "landmarks.csv").open())
    errors, missed = [], 0
    sheet = []
    for row in rows:
        path = folder / row["expression"] / f"{row['subject']}.jpg"
        theirs = np.array([[float(row[f"{axis}{k}"]) for axis in "xy"] for k in range(189)])
        image = read_image(path)
        faces = detector.detect(image)
        if not faces:
            missed += 1
            continue
        ours = landmarker.locate(image, faces[0].box)
        eyes, mouth = (np.array(sorted(theirs[list(points)].tolist())) for points in (EYES, MOUTH))  # left to right
        wanted, marks = np.concatenate([eyes, mouth, theirs[[CHIN]]]), ours[[36, 39, 42, 45, 48, 54, 8]]
        pupils = float(np.linalg.norm(theirs[0] - theirs[1]))
        errors.append(np.linalg.norm(marks - wanted, axis=1) / pupils)
        picture = np.ascontiguousarray(image[..., ::-1]).copy()
        for x, y in ours:
            cv2.circle(picture, (round(float(x)), round(float(y))), 2, (0, 255, 0), -1)
        for x, y in wanted:
            cv2.circle(picture, (round(float(x)), round(float(y))), 2, (0, 0, 255), -1)
        sheet.append(cv2.resize(picture, (200, 200)))
    table = np.array(errors)
    print(f"{len(table)} photographs, {missed} without a detected face: error {100 * table.mean():.2f} %")
    print("by point (eye corners, mouth corners, chin):", (100 * table.mean(0)).round(2))
    if asked.picture:
        cv2.imwrite(str(asked.picture), np.concatenate([np.concatenate(sheet[r * 6 : r * 6 + 6], 1) for r in range(4)]))


if __name__ == "__main__":
    main()
