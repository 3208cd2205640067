"""Which faces are found, and which of what is found are faces: on scenes whose faces are known.

usage: python benchmarks/finding.py HEADS [--assets ASSETS] [--landmarks FILE] [--scenes N]

HEADS is a folder of synthetic heads, which are made if they are not there: of five groups of people, turned by about 0, 15,
30, 45 and 60 degrees. Each scene is 640x360 with clutter and three heads, of several sizes, turns and lights. Printed are,
for each detector, how many faces it finds, how many are left after the landmarks were checked, how many of those have right
landmarks (mean distance below a tenth of the distance of the outer eye corners), and false alarms before and after the
check; by size and light for faces that are turned by less than 30 degrees, and by turn for all.
"""

import argparse
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from tfen.data.prepared import open_set
from tfen.faces.detection import FaceDetector
from tfen.faces.detectors import make_detector
from tfen.faces.landmarks import PACKAGED, Landmarker, confirmed
from tfen.synth.generate import SynthSettings, make_set
from tfen.synth.settings import VARIATIONS, WILD
from tfen.video.photographs import read_image

Array = np.ndarray
SIZE = (640, 360)
SIDES = (24, 32, 48, 80, 120)
"""Distance from the brows to the chin, roughly: sides of the landmarks' square, pixels."""
LIGHTS = {"full": (1.0, 1.0), "a quarter": (0.25, 0.25), "a tenth": (0.1, 0.1), "backlit": (0.25, 1.0)}
"""Light on the faces and on what is around them."""
TURNS = (0, 15, 30, 45)
"""Degrees; each stands for those up to 15 more."""
Head = tuple[Array, Array, float]


def heads_of(folder: Path, assets: Path | None) -> dict[int, list[Head]]:
    """Return heads (picture, landmarks, degrees) by their turn."""
    heads: dict[int, list[Head]] = defaultdict(list)
    for number, degrees in enumerate((*TURNS, 60)):
        VARIATIONS.add(f"turned-{degrees}", replace(WILD, turned=float(degrees)))
        plan = SynthSettings(
            subjects=10, frames=2, size=160, seed=77, first_subject=10 * number, variation=f"turned-{degrees}", framing=1.6,
            dynamics=("held",), expressions=("neutral", "happiness", "surprise", "sadness"), assets=assets,
        )  # fmt: skip
        make_set(folder / f"turned-{degrees}", plan, 1)  # other processes would not know the variation
        dataset = open_set(folder / f"turned-{degrees}")
        for sequence in dataset.sequences:
            points, poses = dataset.truth(sequence, "landmarks", (68, 2)), dataset.truth(sequence, "pose", (3,))
            assert points is not None and poses is not None
            for path, own, pose in zip(dataset.frame_files(sequence), points, poses):
                turn = abs(float(pose[0]))
                if turn < TURNS[-1] + 15:
                    heads[15 * int(turn // 15)].append((np.ascontiguousarray(read_image(path)), own, turn))
    return heads


def clutter(rng: np.random.Generator) -> Array:
    """Return a background with edges, spots and stripes."""
    image = cv2.resize(rng.integers(20, 230, (9, 16, 3), np.uint8), SIZE, interpolation=cv2.INTER_CUBIC)
    for _ in range(60):
        at, reach = tuple(rng.integers(0, 640, 2).tolist()), int(rng.integers(3, 60))
        colour = rng.integers(0, 255, 3).tolist()
        if rng.random() < 0.5:
            cv2.circle(image, at, reach, colour, int(rng.choice([-1, 1, 3])), cv2.LINE_AA)
        else:
            cv2.rectangle(image, at, (at[0] + reach, at[1] + reach), colour, int(rng.choice([-1, 1, 3])))
    return image


def scene(heads: dict[int, list[Head]], rng: np.random.Generator) -> tuple[Array, list[dict[str, object]]]:
    """Return a scene, and of each face its landmarks, side, turn and light."""
    light = str(rng.choice(list(LIGHTS)))
    on_faces, around = LIGHTS[light]
    image, faces = clutter(rng) * around, []
    for column in range(3):
        group = heads[int(rng.choice(TURNS))]
        head, points, turn = group[int(rng.integers(len(group)))]
        side = int(rng.choice(SIDES))
        scale = side / float((points.max(0) - points.min(0)).max())
        small = cv2.resize(head, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        high, wide = small.shape[:2]
        x, y = 213 * column + int(rng.integers(0, max(1, 213 - wide))), int(rng.integers(0, max(1, 360 - high)))
        part = image[y : y + high, x : x + wide]
        part[:] = small[: part.shape[0], : part.shape[1]] * on_faces
        faces.append({"points": points * scale + [x, y], "side": side, "turn": turn, "light": light})
    return np.round(image).astype(np.uint8), faces


def hit(box: tuple[float, ...], points: Array) -> bool:
    middle, (left, top, wide, high) = points.mean(0), box
    inside = left < middle[0] < left + wide and top < middle[1] < top + high
    return inside and 0.4 < max(wide, high) / float((points.max(0) - points.min(0)).max()) < 2.5


def count(detector: FaceDetector, landmarker: Landmarker, scenes: list[tuple[Array, list[dict[str, object]]]]) -> None:
    rows: dict[tuple[str, object], np.ndarray] = defaultdict(lambda: np.zeros(4, int))
    alarms = np.zeros(2, int)
    for image, faces in scenes:
        found = detector.detect(image)
        kept = list(confirmed(image, found, landmarker))
        alarms += [
            sum(not any(hit(one.box, face["points"]) for face in faces) for one in some)
            for some in (found, [one for one, _ in kept])
        ]
        for face in faces:
            own = [points for one, points in kept if hit(one.box, face["points"])]
            eyes = float(np.linalg.norm(face["points"][36] - face["points"][45]))
            right = any(np.linalg.norm(points - face["points"], axis=1).mean() < 0.1 * eyes for points in own)
            result = [1, any(hit(one.box, face["points"]) for one in found), bool(own), right]
            low = next(low for low in TURNS if face["turn"] < low + 15)
            rows["turn", f"{low} to {low + 15}"] += result
            if face["turn"] < 30:
                for key in (("below 30", ""), ("side", face["side"]), ("light", face["light"])):
                    rows[key] += result
    print(f"{detector.name}: false alarms {alarms[0]}, after the check {alarms[1]}")
    for key in sorted(rows, key=lambda key: (key[0], str(key[1]).zfill(8))):
        faces, found, kept, right = rows[key]
        print(
            f"  {key[0]:<9}{key[1]!s:<10}{faces:>5} faces: found {found / faces:.0%}, kept {kept / faces:.0%}, right {right / faces:.0%}"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("heads", type=Path)
    parser.add_argument("--assets", type=Path)
    parser.add_argument("--landmarks", type=Path, default=PACKAGED)
    parser.add_argument("--scenes", type=int, default=200)
    asked = parser.parse_args()
    heads = heads_of(asked.heads, asked.assets)
    rng = np.random.default_rng(0)
    scenes = [scene(heads, rng) for _ in range(asked.scenes)]
    landmarker = Landmarker(asked.landmarks)
    for name in ("haar", "yunet"):
        count(make_detector(name), landmarker, scenes)


if __name__ == "__main__":
    main()
